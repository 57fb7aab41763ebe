//! The `tributary` program: reads its command line and does what it says.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tributary::app::cli::Cli;
use tributary::app::stderr;
use tributary::diagnostics::covered;

/// A decision is many small pieces that one thread makes and another throws away: a fifth of the processor's time of a flow
/// less than with the C library's allocator, for a tenth more memory.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// As a shell reports a program that SIGPIPE ended: its output was cut off.
const CLOSED_PIPE: u8 = 141;
/// The command line makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    tributary::app::begin();
    let outcome = match Cli::try_parse() {
        Ok(cli) => actix_web::rt::System::new().block_on(tributary::app::execute(cli)).map(ExitCode::from),
        Err(error) => usage(&error),
    };
    // What is still buffered is written now, where its failure is seen.
    match outcome.and_then(|exit| std::io::stdout().flush().map(|()| exit).map_err(Into::into)) {
        Ok(exit) => exit,
        Err(error) if is_closed_pipe(&error) => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            // Nothing is left to do where even standard error is gone.
            drop(stderr::error(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Prints help, or what is wrong with the command line, without the secrets that may stand there.
fn usage(error: &clap::Error) -> anyhow::Result<ExitCode> {
    let text = error.render().to_string();
    if !error.use_stderr() {
        error.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    if covered(&text) == text && !stderr::is_json() {
        error.print()?;
    } else {
        let text = text.trim().strip_prefix("error: ").unwrap_or(&text).to_owned();
        stderr::error(&text)?;
    }
    Ok(ExitCode::from(USAGE))
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(ErrorKind::BrokenPipe)
    })
}
