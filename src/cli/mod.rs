//! The command line: one file a noun. Exit codes: 0 done, 1 refused or failed,
//! 2 wrong usage.

mod attack;
mod audit;
mod backup;
mod bench;
mod caller;
mod catalog;
mod certificate;
mod child;
mod config;
mod consent;
mod customer;
mod erase_list;
mod events;
mod hold;
mod import;
pub mod init;
mod key;
pub mod lock;
mod out;
pub mod pki;
mod policy;
mod progress;
mod quickstart;
mod record;
mod request;
mod restore;
mod restrict;
mod retention;
mod review;
mod rules;
mod schema;
mod seal;
mod secret;
mod serve;
mod setup;
mod signals;
mod stop;
mod value;
mod witness;
mod workplace;

use clap::{Parser, Subcommand};
use std::future::Future;
use std::process::ExitCode;
use stop::{Done, Stop};

/// The vault's arguments.
#[derive(Parser, Debug)]
#[command(name = "oubliette", version, about, long_about = None)]
#[command(after_help = "Start here: oubliette quickstart")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// See the whole story on a small CRM: keys, server, import, reads, a
    /// denial, an erasure
    Quickstart(quickstart::Quickstart),
    /// Lay out the directory of a vault: configuration, certificates, keys, data
    Init(setup::Init),
    /// Make certificates with a directory's development authority
    #[command(subcommand)]
    Pki(setup::Pki),
    /// Run the server
    Serve(serve::Serve),
    /// Import customers from a CSV file
    Import(import::Import),
    /// Write, read and delete customers' records
    #[command(subcommand)]
    Record(record::Record),
    /// Create, look at and forget customers
    #[command(subcommand)]
    Customer(customer::Customer),
    /// Open, decide and list people's requests about their data
    #[command(subcommand)]
    Request(request::Request),
    /// Hold what somebody may demand, and release it
    #[command(subcommand)]
    Hold(hold::Hold),
    /// Check, fetch and show erasure certificates
    #[command(subcommand)]
    Certificate(certificate::Certificate),
    /// Put on record what customers say of purposes, and look at it
    #[command(subcommand)]
    Consent(consent::Consent),
    /// Hear what happens to customers whose data was read, and acknowledge it
    #[command(subcommand)]
    Events(events::Events),
    /// See whether what is past its time is deleted in time
    #[command(subcommand)]
    Retention(retention::Retention),
    /// See what could be less: what nobody reads, purposes wider than their use
    Review(review::Review),
    /// Show what customers are or were told of a purpose
    Notice(review::Notice),
    /// Write the record of processing (GDPR art. 30): declared against observed
    Processing(review::Processing),
    /// Look at the key tree
    #[command(subcommand)]
    Key(key::Key),
    /// Export, prove and verify the audit log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Remember the newest heads of others' audit logs, and cosign what continues
    /// them (C2SP tlog-witness)
    Witness(witness::Witness),
    /// Show who is blocked because what they did looked wrong, and lift it
    #[command(subcommand)]
    Signals(signals::Signals),
    /// Back up data or keys, beside a running server
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Bring data or keys back from a backup, while no server runs
    #[command(subcommand)]
    Restore(restore::Restore),
    /// See what an insider with every backup and every present key could open
    Attack(attack::Attack),
    /// Let go of every key in memory; nothing is destroyed
    Seal(seal::Seal),
    /// Open the keys again: from the key provider, or with the passphrase or
    /// the shares of its lock
    Unseal(seal::Unseal),
    /// Show whether the vault is sealed, and what it waits for
    SealStatus(seal::SealStatus),
    /// Put a lock on key files, give it to others, take it off; no server runs
    #[command(subcommand)]
    Lock(lock::LockOf),
    /// Look at the configuration
    #[command(subcommand)]
    Config(config::Config),
    /// Look at the catalog: record types, fields, purposes
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    /// Look at the access policy
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Measure reads or writes against a bare echo
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Where the reader has gone away, there is nobody left to tell.
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = arguments.command.json();
    let Err(stop) = arguments.command.run() else {
        return ExitCode::SUCCESS;
    };
    if let Some(document) = stop.as_json() {
        out::note(&format!("error: {stop}"));
        out::Out::new(json).document(&document);
    }
    ExitCode::from(stop.exit_code())
}

impl Command {
    fn run(self) -> Done {
        match self {
            Self::Quickstart(quickstart) => block_on(quickstart.run()),
            Self::Init(init) => init.run(),
            Self::Pki(pki) => pki.run(),
            Self::Serve(serve) => serve.run(),
            Self::Import(import) => block_on(import.run()),
            Self::Record(record) => block_on(record.run()),
            Self::Customer(customer) => block_on(customer.run()),
            Self::Request(request) => block_on(request.run()),
            Self::Hold(hold) => block_on(hold.run()),
            Self::Certificate(certificate) => block_on(certificate.run()),
            Self::Consent(consent) => block_on(consent.run()),
            Self::Events(events) => block_on(events.run()),
            Self::Retention(retention) => block_on(retention.run()),
            Self::Review(review) => block_on(review.run()),
            Self::Notice(notice) => block_on(notice.run()),
            Self::Processing(processing) => block_on(processing.run()),
            Self::Key(key) => block_on(key.run()),
            Self::Audit(audit) => audit.run(),
            Self::Witness(witness) => witness.run(),
            Self::Signals(signals) => signals.run(),
            Self::Backup(backup) => backup.run(),
            Self::Restore(restore) => restore.run(),
            Self::Attack(attack) => attack.run(),
            Self::Seal(seal) => block_on(seal.run()),
            Self::Unseal(unseal) => block_on(unseal.run()),
            Self::SealStatus(status) => block_on(status.run()),
            Self::Lock(lock) => lock.run(),
            Self::Config(config) => config.run(),
            Self::Catalog(catalog) => catalog.run(),
            Self::Policy(policy) => policy.run(),
            Self::Bench(bench) => bench.run(),
        }
    }

    /// Whether errors too are told as JSON.
    fn json(&self) -> bool {
        match self {
            Self::Import(import) => import.caller.json,
            Self::Record(record) => record.caller().json,
            Self::Customer(customer) => customer.caller().json,
            Self::Request(request) => request.caller().json,
            Self::Hold(hold) => hold.caller().json,
            Self::Certificate(certificate) => certificate.json(),
            Self::Consent(consent) => consent.json(),
            Self::Events(events) => events.json(),
            Self::Retention(retention) => retention.caller().json,
            Self::Review(review) => review.json(),
            Self::Notice(notice) => notice.caller.json,
            Self::Processing(processing) => processing.caller.json,
            Self::Key(key) => key.caller().json,
            Self::Seal(seal) => seal.caller.json,
            Self::Unseal(unseal) => unseal.caller.json,
            Self::SealStatus(status) => status.caller.json,
            Self::Lock(lock) => lock.json(),
            Self::Bench(bench) => bench.json(),
            Self::Audit(audit) => audit.json(),
            Self::Signals(signals) => signals.json(),
            Self::Backup(backup) => backup.json(),
            Self::Restore(restore) => restore.json(),
            Self::Attack(attack) => attack.json,
            Self::Config(config) => config.json(),
            Self::Catalog(catalog) => catalog.json(),
            Self::Policy(policy) => policy.json(),
            Self::Init(init) => init.json,
            Self::Quickstart(_) | Self::Pki(_) | Self::Serve(_) | Self::Witness(_) => false,
        }
    }
}

/// Runs a client command on this thread.
fn block_on(command: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Stop::Failed(format!("the runtime cannot start: {error}"))),
    }
}

/// Does work that Ctrl-C ends in order: children are stopped and temporary
/// directories removed.
async fn until_interrupted(work: impl Future<Output = Done>) -> Done {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Stop::Failed("interrupted".to_owned())),
    }
}
