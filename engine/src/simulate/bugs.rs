//! The mistakes that can be asked for, and what they are.

use super::Bug;

impl Bug {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::OwedContentPooled,
        Self::LeftOverPooled,
        Self::SpeakingPooled,
        Self::YieldLost,
        Self::WakerForgotten,
        Self::ChunkOffByOne,
        Self::PostRepeated,
        Self::HeadTimerNeverArmed,
        Self::ClientTimerNeverArmed,
        Self::GapNeverOver,
        Self::TruncationIsEnd,
        Self::UploadTruncationIsEnd,
        Self::CutWithoutReset,
        Self::ClosedWithoutLinger,
        Self::HalfCloseIsGone,
        Self::RecordLost,
        Self::DescriptorLeaked,
        Self::LaneLeaked,
        Self::PlaceLost,
        Self::ReplayForgets,
        Self::ShortSendForgotten,
        Self::ShortSendRepeated,
        Self::PipeMiscounted,
        Self::RestForgotten,
        Self::TrailersLost,
        Self::LetterLost,
        Self::ResetPanics,
        Self::MoreForgotten,
    ];

    /// What it does.
    pub const fn what(self) -> &'static str {
        match self {
            Self::OwedContentPooled => {
                "a connection goes back to the pool although content of its answer is owed"
            }
            Self::LeftOverPooled => {
                "a connection goes back to the pool although something is left over in its buffer"
            }
            Self::SpeakingPooled => "a pooled connection on which the origin has spoken is used",
            Self::YieldLost => "a task that lets the others go first is not polled again",
            Self::WakerForgotten => "a deadline does not know whom to wake",
            Self::ChunkOffByOne => "a chunk is said to be a byte longer than it is",
            Self::PostRepeated => "a POST is tried again although it has been sent",
            Self::HeadTimerNeverArmed => "the wait for an answer has no deadline",
            Self::ClientTimerNeverArmed => "the wait for the rest of a request's head has no deadline",
            Self::GapNeverOver => "the wait for more content has no deadline",
            Self::TruncationIsEnd => "an answer that breaks off is taken for complete",
            Self::UploadTruncationIsEnd => "a request that breaks off is taken for complete",
            Self::CutWithoutReset => "an answer that only the close ends is cut by a close",
            Self::ClosedWithoutLinger => "a connection with unread input is closed at once",
            Self::HalfCloseIsGone => "a client that has said all that it will say is taken for gone",
            Self::RecordLost => "an exchange has no record",
            Self::DescriptorLeaked => "a connection's descriptor is not closed",
            Self::LaneLeaked => "a lane that has ended is still held by its listeners",
            Self::PlaceLost => "a closed connection keeps its place of the cluster's maximum",
            Self::ReplayForgets => "a second attempt leaves the first byte of the content out",
            Self::ShortSendForgotten => "what the system has not taken is forgotten",
            Self::ShortSendRepeated => "what the system has taken is sent again with the rest",
            Self::PipeMiscounted => "a byte that went through a pipe is not counted",
            Self::RestForgotten => "what came behind the end of a message is forgotten",
            Self::TrailersLost => "the trailers of a request are not sent on",
            Self::LetterLost => "a letter to another lane is lost",
            Self::ResetPanics => "a client's reset panics its connection's task",
            Self::MoreForgotten => "a receive that filled its buffer is taken to have received all there was",
        }
    }
}
