//! The command line: arguments to a command.

use std::process::ExitCode;

/// Answers are made of many small pieces; mimalloc is markedly faster at those
/// than the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    oubliette::cli::run()
}
