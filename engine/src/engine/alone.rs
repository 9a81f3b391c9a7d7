//! A lane without listeners, on the thread of whoever needs one.

use super::{StartError, builder::Engine, thread::attend};
use crate::{
    io::{Alarm, bell::Bell, driver},
    lane::Lane,
    process::Process,
};
use std::sync::Arc;

impl Lane {
    /// Runs a lane without listeners on the calling thread until `main` has ended: for a program that only sends
    /// requests, and for tests. It has the defaults of [`Engine::builder`].
    ///
    /// ```
    /// use corelane_engine::Lane;
    ///
    /// let answer = Lane::run(async |lane: Lane| {
    ///     lane.sleep(std::time::Duration::from_millis(1)).await;
    ///     lane.offload(|| 6 * 7).await
    /// })??;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), corelane_engine::Error>(())
    /// ```
    ///
    /// # Panics
    /// On a thread that has a lane already.
    ///
    /// # Errors
    /// The lane cannot be set up.
    pub fn run<T>(main: impl AsyncFnOnce(Self) -> T) -> Result<T, StartError> {
        let (config, settings) = Engine::builder().into_config();
        let (runtime, running) = driver::build(config.driver).map_err(StartError::Driver)?;
        let process = Arc::new(Process::new(config, 1).map_err(StartError::Thread)?);
        runtime.block_on(async {
            let bell = Bell::new(process.desks[0].mail.ringer()).map_err(StartError::Thread)?;
            let alarm = Alarm::new().map_err(StartError::Thread)?;
            let lane = Self::new(0, process.clone(), &settings, running, (bell, alarm));
            attend(&lane);
            let value = lane.polling(main(lane.clone())).await;
            lane.tear_down().await;
            Ok(value)
        })
    }
}
