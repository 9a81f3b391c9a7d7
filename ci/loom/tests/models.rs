//! Runs the models.

#[test]
fn a_count_is_never_exceeded() {
    corelane_loom::a_count_is_never_exceeded();
}

#[test]
fn no_call_is_lost() {
    corelane_loom::no_call_is_lost();
}

#[test]
fn a_new_key_gets_one_bucket() {
    corelane_loom::a_new_key_gets_one_bucket();
}

#[test]
fn a_bucket_changes_hands_only_while_nobody_takes() {
    corelane_loom::a_bucket_changes_hands_only_while_nobody_takes();
}

#[test]
fn what_is_put_back_is_given_to_nobody_else() {
    corelane_loom::what_is_put_back_is_given_to_nobody_else();
}

#[test]
fn a_source_that_is_counted_twice_is_counted_right() {
    corelane_loom::a_source_that_is_counted_twice_is_counted_right();
}
