//! A vault's directory, and servers over it.

use crate::rules;
use oubliette::cli::init::{CONFIG, Layout, init};
use oubliette::config::Config;
use oubliette::error::Result;
use oubliette::store::Store;
use oubliette::store::sqlite::Sqlite;
use rusqlite::Connection;
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Longer than anything here takes; what runs into it has failed.
pub const LONG: Duration = Duration::from_secs(60);

/// Whether the campaigns are to be long.
pub fn is_long() -> bool {
    std::env::var_os("OUBLIETTE_LONG").is_some_and(|value| value != "0")
}

/// A vault's directory; gone when this is dropped.
pub struct Place {
    dir: TempDir,
}

impl Place {
    /// On the disk where temporary files are.
    pub fn new() -> Self {
        Self::in_dir(tempfile::tempdir().expect("a directory"))
    }

    /// In memory where there is such a file system: for tests of so many
    /// writes that a disk would be what they measure.
    pub fn quick() -> Self {
        let memory = tempfile::tempdir_in("/dev/shm");
        Self::in_dir(
            memory
                .or_else(|_| tempfile::tempdir())
                .expect("a directory"),
        )
    }

    fn in_dir(dir: TempDir) -> Self {
        let from = dir.path().join("rules");
        rules::write(&from);
        let place = Self { dir };
        place.init(Some(from));
        place
    }

    /// With the rules of examples/crm.
    pub fn crm() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Self { dir };
        place.init(None);
        place
    }

    fn init(&self, from: Option<PathBuf>) {
        let _shares = self.init_as(Layout {
            from,
            ..Layout::default()
        });
    }

    fn init_as(&self, layout: Layout) -> Vec<String> {
        match init(&self.path(), &layout) {
            Ok(made) => made.shares.iter().map(|s| s.expose().to_owned()).collect(),
            Err(why) => panic!("{why}"),
        }
    }

    /// Laid out otherwise; with the shares of its lock, if it has one.
    pub fn laid_out(layout: Layout) -> (Self, Vec<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        let from = dir.path().join("rules");
        rules::write(&from);
        let place = Self { dir };
        let from = Some(from);
        let shares = place.init_as(Layout { from, ..layout });
        (place, shares)
    }

    /// Laid out by the program, in an environment with more in it.
    pub fn by_program(providers: &Path, more: &[(&str, &OsStr)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let from = dir.path().join("rules");
        rules::write(&from);
        let place = Self { dir };
        let ran = Command::new(env!("CARGO_BIN_EXE_oubliette"))
            .arg("init")
            .arg("--from")
            .arg(from)
            .arg("--providers")
            .arg(providers)
            .arg(place.path())
            .envs(more.iter().copied())
            .output()
            .expect("oubliette runs");
        let why = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{why}");
        place
    }

    /// The vault's directory.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    /// Where the databases are.
    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A second connection to `keys.db`.
    pub fn keys(&self) -> Connection {
        open(&self.data().join("keys.db"))
    }

    /// A second connection to `vault.db`.
    pub fn vault(&self) -> Connection {
        open(&self.data().join("vault.db"))
    }

    /// A file of the configuration.
    pub fn config_file(&self, name: &str) -> PathBuf {
        self.path().join("config").join(name)
    }

    /// Changes a line of the configuration.
    pub fn configure(&self, from: &str, to: &str) {
        let file = self.path().join(CONFIG);
        let text = std::fs::read_to_string(&file).expect("a configuration");
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replace(from, to)).expect("written");
    }

    /// Waits for the log's first checkpoint.
    pub async fn has_checkpoint(&self) {
        let count = || -> i64 {
            let sql = "SELECT count(*) FROM checkpoints";
            let count = self.vault().query_row(sql, [], |row| row.get(0));
            count.expect("a count")
        };
        until("there is a checkpoint", async || count() > 0).await;
    }

    fn config(&self) -> Config {
        let mut config = Config::load(&self.path().join(CONFIG)).expect("a configuration");
        config.listen = free_port();
        config.metrics = free_port();
        config
    }
}

fn open(path: &Path) -> Connection {
    let db = Connection::open(path).expect("a database");
    db.busy_timeout(LONG).expect("a time");
    db.pragma_update(None, "synchronous", "OFF")
        .expect("a pragma");
    db.pragma_update(None, "secure_delete", "ON")
        .expect("a pragma");
    db
}

/// A port that nobody has, below those that the system gives to connections:
/// one of those could be taken before the server listens.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 8_000).expect("small");
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + (first + next) % 8_000));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A server on threads of this process.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its metrics are.
    pub metrics: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Over files that the test may change meanwhile.
    pub fn start(place: &Place) -> Self {
        Self::over(place, |data| Ok(Arc::new(Sqlite::open_shared(data)?)))
    }

    /// Over files that are its own, as in the field.
    pub fn alone(place: &Place) -> Self {
        Self::over(place, |data| Ok(Arc::new(Sqlite::open(data)?)))
    }

    /// Over the store that `open` opens.
    pub fn over(
        place: &Place,
        open: impl FnOnce(&Path) -> Result<Arc<dyn Store>> + Send + 'static,
    ) -> Self {
        let config = place.config();
        let metrics = config.metrics;
        let (stop, stopped) = oneshot::channel::<()>();
        let (told, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            let stopped = async {
                let _ = stopped.await;
            };
            let tell = move |address| told.send(address).expect("somebody waits");
            runtime.block_on(oubliette::serve::run_over(config, open, stopped, tell))
        });
        match ready.recv_timeout(LONG) {
            Ok(address) => Self {
                address,
                metrics,
                stop: Some(stop),
                thread: Some(thread),
            },
            Err(_) => panic!("no server: {:?}", thread.join().expect("no panic")),
        }
    }

    /// Drains and ends it; its files are closed then.
    pub fn stop(mut self) {
        let ended = self.end().expect("it runs").expect("no panic");
        assert!(ended.is_ok(), "{ended:?}");
    }

    fn end(&mut self) -> Option<std::thread::Result<Result<()>>> {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.end();
    }
}

/// Waits until `holds`.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(2));
    while !holds().await {
        assert!(begun.elapsed() < LONG, "never so: {what}");
        look.tick().await;
    }
}
