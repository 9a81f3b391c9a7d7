//! What an embedder writes.

use crate::{
    error::Result,
    message::{Request, Response},
};

/// Answers requests. One is built for each lane, so it needs neither `Send` nor locks.
///
/// What is returned is what is sent: exactly one answer for each request. An error becomes the answer that
/// [`Error::status`](crate::Error::status) says, and stands in the record in full. The future is dropped when the
/// client has gone; see the crate's chapter on cancel safety.
#[allow(async_fn_in_trait, reason = "a lane's futures never leave its thread, so they need not be `Send`")]
pub trait Handler: 'static {
    /// Answers one request.
    async fn handle(&self, request: Request) -> Result<Response>;
}
