//! The binary `backstitch`: reads the command line, runs the command, ends with its code.

use std::process::ExitCode;

use backstitch_api::cli::Cli;
use backstitch_api::error::exit;
use backstitch_api::log;
use clap::Parser;

/// The store behind the log works through many small pieces, of which the system's allocator
/// makes a third of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("backstitch: threads can't be started: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let ended = runtime.block_on(cli.command.run());
    // A journal that is still being read has nothing to lose; it does not keep the process.
    runtime.shutdown_background();
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::end(&error);
            ExitCode::from(error.exit_code())
        }
    };
    log::finish();
    code
}
