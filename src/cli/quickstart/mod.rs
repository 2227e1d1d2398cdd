//! Stub.
use super::stop::Done;
use clap::Args;
#[derive(Args, Debug)]
pub struct Quickstart {
    #[arg(long)]
    serve: bool,
}
impl Quickstart {
    pub async fn run(self) -> Done {
        Ok(())
    }
}
