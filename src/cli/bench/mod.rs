//! Stub.
use super::stop::Done;
use clap::Subcommand;
#[derive(Subcommand, Debug)]
pub enum Bench {
    #[command(hide = true)]
    EchoServer,
}
impl Bench {
    pub fn json(&self) -> bool {
        false
    }
    pub fn run(self) -> Done {
        Ok(())
    }
}
