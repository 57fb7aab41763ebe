//! The `tributary` program: reads its command line and does what it says.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tributary::app::cli::Cli;

/// A decision is many small pieces that one thread makes and another throws away: a fifth of the processor's time of a flow
/// less than with the C library's allocator, for a tenth more memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = actix_web::rt::System::new().block_on(tributary::app::execute(cli));
    match outcome {
        Ok(exit) => exit.into(),
        // Whoever read standard output has read enough.
        Err(error)
            if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Nothing is left to do where even standard error is gone.
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
