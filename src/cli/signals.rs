//! Ctrl-C and SIGTERM: the first asks to end, the second insists.

use std::time::Duration;

use anyhow::Context;

/// Exit code of a program that a person interrupted.
const INTERRUPTED: i32 = 130;

/// Waits for Ctrl-C or SIGTERM.
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts listening; must be called inside a tokio runtime.
    #[cfg(unix)]
    pub(super) fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?,
        })
    }

    #[cfg(unix)]
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub(super) async fn next(&mut self) {
        let _failed = tokio::signal::ctrl_c().await;
    }
}

/// Ends the process at once.
pub(super) fn quit() -> ! {
    std::process::exit(INTERRUPTED)
}

/// Calls `first` at the first signal and ends the process at the second, from a thread of its own.
pub(super) fn on_signal(first: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start listening for signals")?;
    let guard = runtime.enter();
    let mut signals = Signals::listen()?;
    drop(guard);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                first();
                signals.next().await;
                quit();
            });
        })
        .context("cannot start listening for signals")?;
    Ok(())
}

/// How long a run may take to save itself at the end.
pub(super) const END_LIMIT: Duration = Duration::from_secs(8);
