//! Ways in which a handler may deal with a request, and what follows from each for those at either end.

use corelane_balancer::Rng;

/// What the handler does with a request. Its target says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Sends it on.
    Pass,
    /// Reads all of its content, and sends it on then.
    Collect,
    /// Changes its content and that of the answer while they pass; says of how many bytes they are.
    Rewrite,
    /// The same, and does not know how many there will be.
    Reframe,
    /// Copies what passes, both ways.
    Tee,
    /// Writes the loop of attempts itself.
    Loop,
    /// Says a 103 first.
    Hint,
    /// Asks something else of the origin meanwhile, in a task that outlives the request.
    Mirror,
    /// Lets another thread think about it first.
    Offload,
    /// Reads the answer in a task, and sends it from there.
    Relay,
    /// Reads all of the answer before it gives it.
    Hold,
    /// Answers itself, and never looks at the content.
    Local,
    /// Answers itself when it has read the content.
    Read,
    /// Panics at once.
    Panic,
    /// Panics when it has an answer.
    PanicLate,
    /// Speaks the protocol itself that the client wants to switch to: it echoes.
    Echo,
    /// Has both ends of the tunnel, and carries the bytes itself.
    Carry,
}

/// All of them, with the words for them.
const WORDS: [(Way, &str); 17] = [
    (Way::Pass, "pass"),
    (Way::Collect, "collect"),
    (Way::Rewrite, "rewrite"),
    (Way::Reframe, "reframe"),
    (Way::Tee, "tee"),
    (Way::Loop, "loop"),
    (Way::Hint, "hint"),
    (Way::Mirror, "mirror"),
    (Way::Offload, "offload"),
    (Way::Relay, "relay"),
    (Way::Hold, "hold"),
    (Way::Local, "local"),
    (Way::Read, "read"),
    (Way::Panic, "panic"),
    (Way::PanicLate, "panic-late"),
    (Way::Echo, "echo"),
    (Way::Carry, "carry"),
];

impl Way {
    /// One for a request that is answered in its own protocol.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        // Half of them are sent on as they are; the last two are for switches.
        let one = rng.below(2 * (WORDS.len() as u64 - 2)) as usize;
        if one < WORDS.len() - 2 { WORDS[one].0 } else { Self::Pass }
    }

    /// One for a request to switch protocols.
    pub(crate) fn draw_switch(rng: &mut Rng) -> Self {
        const WAYS: [Way; 8] =
            [Way::Pass, Way::Pass, Way::Pass, Way::Hint, Way::Mirror, Way::Loop, Way::Echo, Way::Carry];
        WAYS[rng.below(WAYS.len() as u64) as usize]
    }

    pub(crate) fn word(self) -> &'static str {
        WORDS.iter().find(|(way, _)| *way == self).map_or("", |(_, word)| word)
    }

    /// What a query says.
    pub(crate) fn of(query: &str) -> Self {
        let word = query.split('&').find_map(|part| part.strip_prefix("h=")).unwrap_or_default();
        WORDS.iter().find(|(_, one)| *one == word).map_or(Self::Pass, |(way, _)| *way)
    }

    /// The content of both messages is another afterwards: see [`rewrite`].
    pub(crate) const fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::Reframe)
    }

    /// The content is kept whole, whatever its length.
    pub(crate) const fn keeps_content(self) -> bool {
        matches!(self, Self::Collect)
    }

    /// No origin hears of it.
    pub(crate) const fn is_local(self) -> bool {
        matches!(self, Self::Local | Self::Read | Self::Panic | Self::Echo)
    }

    /// It may be answered before its content has been read, which nobody is going to do: the connection is closed.
    pub(crate) const fn closes(self) -> bool {
        matches!(self, Self::Local | Self::Panic | Self::PanicLate)
    }

    /// The answer's content is dropped once it has been read, and that ends what is left of the upload.
    pub(crate) const fn ends_upload(self) -> bool {
        matches!(self, Self::Relay | Self::Hold | Self::PanicLate)
    }

    /// The exchange dies, and nothing else.
    pub(crate) const fn panics(self) -> bool {
        matches!(self, Self::Panic | Self::PanicLate)
    }
}

/// What becomes of content that is rewritten; of that, it becomes what it was.
pub(crate) fn rewrite(content: &mut [u8]) {
    for byte in content {
        if byte.is_ascii_lowercase() {
            *byte = b'a' + (*byte - b'a' + 13) % 26;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_a_word_and_is_found_by_it() {
        for (way, word) in WORDS {
            assert_eq!((way.word(), Way::of(&format!("x=1&h={word}&y=2"))), (word, way));
        }
        assert_eq!(Way::of("h=nobody"), Way::Pass);
    }
}
