//! The command line: arguments to a command.
fn main() {}
