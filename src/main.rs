//! The program: reads its settings, hands over to the command, ends with its exit code.

use std::process::ExitCode;

use clap::Parser;
use protoclip_studio::cli;
use protoclip_studio::settings::Settings;

fn main() -> ExitCode {
    protoclip::kernels::retain_freed_memory();
    let settings = Settings::parse();
    cli::start_logging(settings.log_format);
    cli::keep_indexes(settings.cache);
    #[cfg(feature = "s3")]
    protoclip_studio::s3::read_objects();
    cli::run(settings.command)
}
