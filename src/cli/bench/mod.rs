//! `oubliette bench`: the vault against a bare echo with the same messages,
//! TLS and load, in the same run. Each server is a process of its own; the
//! load comes from this one.

mod audit;
mod consent;
mod echo;
mod fill;
mod load;
mod report;
mod rewrap;
mod scene;

use super::child::Server;
use super::init::{self, Layout};
use super::out::note;
use super::stop::{Done, Stop};
use super::workplace::Workplace;
use super::{block_on, until_interrupted};
use crate::client::place::{self, Identity};
use crate::client::{self, request_id};
use crate::pb;
use crate::store::Rows;
use clap::{Args, Subcommand};
use load::{Connection, Load, Measured};
use report::Report;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// What can be measured.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Measure GetRecord: every reply written down durably before it is sent
    Read(Options),
    /// Measure PutRecord: every write durable before it is answered
    Write(Options),
    /// Measure reads that need a consent against the same that need none
    Consent(Options),
    /// Measure closing an epoch: the daily case, and every page dirty
    Rewrap(rewrap::Rewrap),
    /// Measure what an audit entry costs, part by part
    Audit(audit::Audit),
    /// The echo that the vault is measured against
    #[command(hide = true)]
    EchoServer(echo::EchoServer),
}

/// Arguments of `bench read` and `bench write`.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// How long each server is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Calls under way at any time
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// Customers in the vault
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    customers: u64,
    /// Connections that share the calls
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// End with one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Read,
    Write,
}

impl Bench {
    /// Whether the answer is for programs.
    pub fn json(&self) -> bool {
        match self {
            Self::Read(options) | Self::Write(options) | Self::Consent(options) => options.json,
            Self::Rewrap(rewrap) => rewrap.json,
            Self::Audit(audit) => audit.json,
            Self::EchoServer(_) => false,
        }
    }

    /// Measures and reports.
    pub fn run(self) -> Done {
        match self {
            Self::Read(options) => options.start(What::Read),
            Self::Write(options) => options.start(What::Write),
            Self::Consent(options) => block_on(until_interrupted(options.consent())),
            Self::Rewrap(rewrap) => block_on(until_interrupted(rewrap.run())),
            Self::Audit(audit) => audit.run(),
            Self::EchoServer(echo) => echo.run(),
        }
    }
}

impl Options {
    fn start(self, what: What) -> Done {
        block_on(until_interrupted(self.run(what)))
    }

    async fn run(self, what: What) -> Done {
        let workplace = Workplace::temporary("bench")?;
        let dir = workplace.dir();
        prepare(dir)?;
        let identity = place::identity(dir, Some(scene::PRINCIPAL))?;

        let mut vault = workplace.serve()?;
        let load = self.load(vault.address, dir, &identity).await?;
        fill::customers(&load, self.customers, what == What::Read).await?;

        note("measuring the echo");
        let echo_server = start_echo(dir)?;
        let echo_load = self.load(echo_server.address, dir, &identity).await?;
        let echo = self.measure(what, &echo_load, &echo_server).await?;
        drop(echo_server);

        note("measuring the vault");
        let before = audited(dir)?;
        let measured = self.measure(what, &load, &vault).await?;
        drop(load);
        vault.stop()?;
        let audited = audited(dir)?.saturating_sub(before);
        let report = Report {
            what: if what == What::Read {
                "reads"
            } else {
                "writes"
            },
            options: &self,
            vault: &measured,
            echo: &echo,
            audited,
        };
        report.tell()
    }

    /// Opens the connections to a server.
    async fn load(&self, address: SocketAddr, dir: &Path, identity: &Identity) -> Done<Load> {
        let endpoint = client::channel(address, dir, identity)?;
        let mut channels = Vec::new();
        for _ in 0..self.connections {
            let channel = endpoint
                .connect()
                .await
                .map_err(|error| Stop::Failed(format!("the server cannot be reached: {error}")))?;
            channels.push(channel);
        }
        Ok(Load {
            channels,
            in_flight: self.in_flight.into(),
            time: Duration::from_secs(self.seconds),
        })
    }

    async fn measure(&self, what: What, load: &Load, server: &Server) -> Done<Measured> {
        let customers = self.customers;
        match what {
            What::Read => {
                let read = move |c, n| read(c, n, customers, scene::PURPOSE);
                load.run(server, read).await
            }
            What::Write => load.run(server, move |c, n| write(c, n, customers)).await,
        }
    }
}

/// Reads some customer's record, in no order.
async fn read(
    mut to: Connection,
    number: u64,
    customers: u64,
    purpose: &str,
) -> Result<bool, tonic::Status> {
    let mut state = number;
    let request = pb::GetRecordRequest {
        name: scene::record_name(scene::next(&mut state) % customers, 0),
        record_type: scene::RECORD_TYPE.to_owned(),
        purpose: purpose.to_owned(),
        fields: Vec::new(),
        mode: pb::ReadMode::AllOrNothing.into(),
        with_handle: false,
    };
    let reply = to.get_record(request).await?.into_inner();
    Ok(scene::is_whole(reply.record.as_ref()))
}

/// Writes a record that there is not yet.
async fn write(mut to: Connection, number: u64, customers: u64) -> Result<bool, tonic::Status> {
    let request = pb::PutRecordRequest {
        name: scene::record_name(number % customers, number / customers + 1),
        record_type: scene::RECORD_TYPE.to_owned(),
        fields: scene::fields(number),
        request_id: request_id(),
        expected_revision: None,
        source: String::new(),
        collect_time: None,
    };
    let reply = to.put_record(request).await?.into_inner();
    Ok(reply.record.is_some_and(|record| record.revision == 1))
}

/// Lays out a vault with the bench's own rules.
fn prepare(dir: &Path) -> Done {
    let rules = Workplace::temporary("bench-rules")?;
    scene::write(rules.dir())?;
    let layout = Layout {
        from: Some(rules.dir().to_owned()),
        ..Layout::default()
    };
    init::init(dir, &layout)?;
    Ok(())
}

fn start_echo(dir: &Path) -> Done<Server> {
    let pki = dir.join("pki");
    let path = |name: &str| pki.join(name).display().to_string();
    let (authority, certificate, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let arguments = [
        "bench",
        "echo-server",
        "--authority",
        &authority,
        "--certificate",
        &certificate,
        "--key",
        &key,
    ];
    Server::start(&arguments, &dir.join("echo.log"))
}

/// Entries in the audit log of a directory, counted in its files.
fn audited(dir: &Path) -> Done<u64> {
    Ok(crate::store::sqlite::open_rows(&dir.join("data"))?.leaf_count()?)
}
