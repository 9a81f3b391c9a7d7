//! What a route asks of a request beside its path.

use corelane_engine::{Method, RequestHead};

/// A value that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expect {
    Any,
    Exactly(Box<[u8]>),
}

impl Expect {
    fn is_met(&self, value: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(expected) => **expected == *value,
        }
    }
}

/// All of them must hold; of the methods one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) methods: Vec<Method>,
    pub(crate) fields: Vec<(String, Expect)>,
    pub(crate) parameters: Vec<(Box<[u8]>, Expect)>,
}

impl Conditions {
    /// How many there are: more is more specific.
    pub(crate) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.fields.len() + self.parameters.len()
    }

    pub(crate) fn hold(&self, head: &RequestHead) -> bool {
        self.failing(head).is_none()
    }

    /// The first that does not hold, in words.
    pub(crate) fn failing(&self, head: &RequestHead) -> Option<&'static str> {
        if !self.methods.is_empty() && !self.methods.contains(&head.method) {
            return Some("another method");
        }
        let has_field =
            |(name, expect): &(String, Expect)| head.fields.get_all(name).any(|value| expect.is_met(value));
        if !self.fields.iter().all(has_field) {
            return Some("a header field is missing or different");
        }
        let query = head.query().unwrap_or_default();
        if !self.parameters.iter().all(|(name, expect)| has_parameter(query, name, expect)) {
            return Some("a parameter of the query is missing or different");
        }
        None
    }
}

/// Names and values are compared as they came, undecoded; without a `=` the value is empty.
fn has_parameter(query: &[u8], name: &[u8], expect: &Expect) -> bool {
    query.split(|byte| *byte == b'&').any(|parameter| {
        let Some(rest) = parameter.strip_prefix(name) else { return false };
        match rest.split_first() {
            None => expect.is_met(b""),
            Some((b'=', value)) => expect.is_met(value),
            Some(_) => false,
        }
    })
}
