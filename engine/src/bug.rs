//! Mistakes that one makes in a proxy, each in one place of this one, to prove that the simulator finds them. They are
//! only there with the feature `simulate`, and only when one is turned on; without it, asking is a constant.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "`what`, which only the simulator has, says what each does")]
#[allow(unreachable_pub, reason = "it is public with the feature `simulate`")]
pub enum Bug {
    OwedContentPooled,
    LeftOverPooled,
    SpeakingPooled,
    YieldLost,
    WakerForgotten,
    ChunkOffByOne,
    PostRepeated,
    HeadTimerNeverArmed,
    ClientTimerNeverArmed,
    GapNeverOver,
    TruncationIsEnd,
    UploadTruncationIsEnd,
    CutWithoutReset,
    ClosedWithoutLinger,
    HalfCloseIsGone,
    RecordLost,
    DescriptorLeaked,
    LaneLeaked,
    PlaceLost,
    ReplayForgets,
    ShortSendForgotten,
    ShortSendRepeated,
    PipeMiscounted,
    RestForgotten,
    TrailersLost,
    LetterLost,
    ResetPanics,
    MoreForgotten,
}
