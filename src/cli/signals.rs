//! `oubliette signals`: who is blocked, and no longer.

use super::out::Out;
use super::rules::Place;
use super::stop::{Done, Stop};
use crate::serve::signalling::Blocks;
use clap::{Args, Subcommand};
use serde_json::json;

/// What can be done about signals.
#[derive(Subcommand, Debug)]
pub enum Signals {
    /// List who is blocked
    List(List),
    /// Lift a principal's block; a running vault takes it up within seconds, at
    /// once on SIGHUP, and writes it down
    Lift(Lift),
}

/// Arguments of `signals list`.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    place: Place,
    /// Answer with one JSON document
    #[arg(long)]
    json: bool,
}

/// Arguments of `signals lift`.
#[derive(Args, Debug)]
pub struct Lift {
    /// The principal: tenant/service
    principal: String,
    #[command(flatten)]
    place: Place,
}

impl Signals {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        matches!(self, Self::List(list) if list.json)
    }

    /// Does it.
    pub fn run(self) -> Done {
        match self {
            Self::List(list) => list.run(),
            Self::Lift(lift) => lift.run(),
        }
    }
}

impl List {
    fn run(self) -> Done {
        let blocks = Blocks::of(&self.place.load()?.data).all()?;
        let mut out = Out::new(self.json);
        let documents = blocks.iter();
        let documents =
            documents.map(|of| json!({"principal": of.principal, "why": of.why.trim()}));
        out.document(&json!({"blocked": documents.collect::<Vec<_>>()}));
        let rows: Vec<_> = blocks
            .iter()
            .map(|of| vec![of.principal.clone(), of.why.trim().to_owned()])
            .collect();
        if rows.is_empty() {
            out.line("nobody is blocked");
        } else {
            out.table(&["principal", "since, for"], &rows);
        }
        Ok(())
    }
}

impl Lift {
    fn run(self) -> Done {
        let blocks = Blocks::of(&self.place.load()?.data);
        let is_principal = self
            .principal
            .split_once('/')
            .is_some_and(|(tenant, service)| {
                use crate::id::{ServiceName, TenantName};
                TenantName::parse(tenant).is_some() && ServiceName::parse(service).is_some()
            });
        if !is_principal {
            return Err(Stop::Usage(
                "a principal looks like tenant/service".to_owned(),
            ));
        }
        if !blocks.lift(&self.principal)? {
            return Err(Stop::Failed(format!(
                "{} is not blocked; oubliette signals list shows who is",
                self.principal
            )));
        }
        Out::new(false).line(&format!("{} is not blocked any more", self.principal));
        Ok(())
    }
}
