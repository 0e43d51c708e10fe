//! Lines for the terminal. Who read them may be gone (`| head`, a closed window): that must end no
//! training, so what cannot be written is dropped, where `println!` would panic.

use std::fmt::Arguments;
use std::io::Write;

/// Writes one line to the standard output.
pub(super) fn line(text: Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stdout(), "{text}");
}

/// Writes one line to the standard error.
pub(super) fn error_line(text: Arguments<'_>) {
    let _nobody_reads = writeln!(std::io::stderr(), "{text}");
}

/// As `println!`, and goes on where nobody reads.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::output::line(format_args!($($text)*))
    };
}

/// As `eprintln!`, and goes on where nobody reads.
macro_rules! say_error {
    ($($text:tt)*) => {
        $crate::cli::output::error_line(format_args!($($text)*))
    };
}
