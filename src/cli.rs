//! Subcommands, one file each. Errors are printed here and nowhere else.

#[macro_use]
mod output;

mod bench;
mod data_path;
mod doctor;
mod evaluate;
mod export;
mod import;
mod notebook;
mod serve;
mod signals;
mod teacher;
mod train;
mod verify;

use std::fmt;
use std::process::ExitCode;

use protoclip::data::CacheFolder;
use tracing_subscriber::EnvFilter;

use crate::settings::{CacheSettings, Command, LogFormat, cache_dir_or_default};

/// Exit code of a wrong command line or setting.
const USAGE: u8 = 2;

/// An error that the user can avoid by asking otherwise.
#[derive(Debug)]
struct UsageError(String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Runs a command and says how it ended: 0 well, 1 failed, 2 wrongly asked.
pub fn run(command: Command) -> ExitCode {
    let result = match command {
        Command::Serve(settings) => serve::serve(settings),
        Command::Train(settings) => train::train(settings),
        Command::Verify(settings) => verify::verify(settings),
        Command::Import(settings) => import::import(settings),
        Command::Export(settings) => export::export(settings),
        Command::Evaluate(settings) => evaluate::evaluate(&settings),
        Command::Notebook(settings) => notebook::notebook(*settings),
        Command::Bench(settings) => bench::bench(&settings),
        Command::Teacher(settings) => teacher::teacher(*settings),
        Command::Doctor(settings) => doctor::doctor(settings),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error!("error: {error:#}");
            let usage = error.downcast_ref::<UsageError>().is_some();
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

/// Says where indexes of data sets and unpacked shards are kept.
pub fn keep_indexes(settings: CacheSettings) {
    if let Some(path) = cache_dir_or_default(settings.cache_dir) {
        let limit = u64::from(settings.cache_gib) << 30;
        protoclip::data::keep_indexes_in(CacheFolder { path, limit });
    }
}

/// Sends log messages to the terminal. `PROTOCLIP_STUDIO_LOG` chooses which, as in `debug` or
/// `protoclip_studio=trace`.
pub fn start_logging(format: LogFormat) {
    let chosen = std::env::var("PROTOCLIP_STUDIO_LOG")
        .unwrap_or_else(|_| "warn,protoclip=info,protoclip_studio=info".into());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(chosen))
        .with_writer(std::io::stderr)
        // It would say so with `eprintln!`, which panics where the terminal is gone.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}
