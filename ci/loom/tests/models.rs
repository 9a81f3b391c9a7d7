//! Runs the models.

#[test]
fn a_count_is_never_exceeded() {
    corelane_loom::a_count_is_never_exceeded();
}

#[test]
fn no_call_is_lost() {
    corelane_loom::no_call_is_lost();
}
