//! A disk that fails at the commit, as the kernel reports it: whoever waits is
//! told that the outcome is unknown, the process ends, and the next one finds
//! all that was acknowledged.

use crate::caller::{Caller, connect, name_on, named, put_request, record};
use crate::log::Log;
use crate::place::{Place, until};
use crate::process::Process;
use oubliette::client::Failure;
use oubliette::pb::PutRecordRequest;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::task::JoinSet;

const WRITERS: usize = 16;

/// What is put between a server and its disk.
pub struct Disk {
    library: PathBuf,
    /// A call fails while a file of its name is in here.
    faults: PathBuf,
    _dir: TempDir,
}

impl Disk {
    /// A disk without a fault.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (library, faults) = (dir.path().join("disk.so"), dir.path().join("faults"));
        fs::create_dir(&faults).expect("a directory");
        // The C compiler that SQLite is built with is there.
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/promises/disk.c"
            ))
            .arg("-ldl")
            .status();
        assert!(built.expect("a C compiler").success());
        Self {
            library,
            faults,
            _dir: dir,
        }
    }

    /// A server over it.
    pub fn server(&self, place: &Place) -> Process {
        let library = self.library.as_os_str();
        let faults = self.faults.as_os_str();
        Process::within(
            place,
            &[("LD_PRELOAD", library), ("OUBLIETTE_TEST_FAULTS", faults)],
        )
    }

    /// From here on these calls fail.
    pub fn fail(&self, call: &str) {
        fs::write(self.faults.join(call), "").expect("written");
    }

    /// From here on they do not.
    pub fn mend(&self, call: &str) {
        fs::remove_file(self.faults.join(call)).expect("removed");
    }
}

/// What a writer knows when its server is gone.
struct Told {
    /// The number in the last change that was acknowledged; 0: none.
    kept: u64,
    /// The change whose outcome it does not know.
    open: PutRecordRequest,
    why: Failure,
}

/// Writes rising numbers to a record of its own until that fails.
async fn write(caller: Caller, name: String, done: Arc<AtomicUsize>) -> Told {
    let mut kept = 0;
    loop {
        let put = put_request(&name, named((kept + 1).to_string()));
        match caller.put_as(put.clone()).await {
            Ok(_) => kept += 1,
            Err(why) => {
                return Told {
                    kept,
                    open: put,
                    why,
                };
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn number(caller: &Caller, name: &str) -> u64 {
    match caller.get(name).await {
        Ok(card) => name_on(&card).expect("a name").parse().expect("a number"),
        Err(failure) if failure.is("RECORD_NOT_FOUND") => 0,
        Err(failure) => panic!("{name}: {failure}"),
    }
}

async fn fails_under_load(call: &str) {
    let (place, disk) = (Place::new(), Disk::new());
    let mut server = disk.server(&place);
    let caller = connect(&place, &server, "acme/w00").await;
    let mut writing = JoinSet::new();
    let done = Arc::new(AtomicUsize::new(0));
    let name = |writer: usize| record(&format!("c{writer}"), "r");
    for writer in 0..WRITERS {
        caller.create(&format!("c{writer}")).await.expect("created");
        let (caller, name, done) = (caller.clone(), name(writer), Arc::clone(&done));
        writing.spawn(async move { (writer, write(caller, name, done).await) });
    }
    let enough = 20 * WRITERS;
    until("they are at it", async || {
        done.load(Ordering::Relaxed) > enough
    })
    .await;
    let reading = caller.clone();
    disk.fail(call);

    let told = writing.join_all().await;
    let read = reading.get(&name(0)).await;
    assert!(read.is_err(), "a read whose entry cannot be durable");
    for (writer, told) in &told {
        assert!(told.kept > 0, "{writer} wrote nothing");
        assert_eq!(told.why.code, tonic::Code::Unavailable, "{}", told.why);
        assert!(told.why.is("OUTCOME_UNKNOWN"), "{call}: {}", told.why);
    }
    until("it ends", async || !server.lives()).await;
    let ended = server.ended();
    assert!(!ended.success(), "{call}: {ended}");

    disk.mend(call);
    let server = disk.server(&place);
    let caller = connect(&place, &server, "acme/w00").await;
    for (writer, told) in &told {
        // Acknowledged is durable; what was not may have come about or not.
        let found = number(&caller, &name(*writer)).await;
        assert!(
            [told.kept, told.kept + 1].contains(&found),
            "{call}: {writer} was told {} and finds {found}",
            told.kept
        );
        let again = caller.put_as(told.open.clone()).await;
        assert_eq!(
            again.ok(),
            Some(i64::try_from(told.kept + 1).expect("small"))
        );
        assert_eq!(number(&caller, &name(*writer)).await, told.kept + 1);
    }
    server.stop();
    let leaves = Log::of(&place).count();
    println!(
        "{call} failed after {} writes: none lost; {leaves} leaves",
        done.load(Ordering::Relaxed)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_fsync_is_an_unknown_outcome_an_end_and_no_loss() {
    fails_under_load("fsync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_an_unknown_outcome_an_end_and_no_loss() {
    fails_under_load("write").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_write_is_an_unknown_outcome_an_end_and_no_loss() {
    fails_under_load("torn").await;
}
