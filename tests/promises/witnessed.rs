//! Witnesses outside: what they remember of the log shows a vault that was
//! rolled back, and their signatures prove the log's end to a stranger.

use crate::anchored::copy;
use crate::caller::connect;
use crate::place::{LONG, Place, until};
use crate::process::{Process, log_file, metrics};
use crate::provable::{export_of, says};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A witness as a process of its own.
pub struct Witness {
    dir: tempfile::TempDir,
    /// Its public key.
    pub key: String,
    running: Option<(Child, SocketAddr)>,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oubliette"));
    command.arg("witness").stdin(Stdio::piped());
    command
}

impl Witness {
    fn found(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let made = program()
            .args(["--found", name, "--dir"])
            .arg(dir.path())
            .output()
            .expect("a process");
        assert!(made.status.success());
        let key = String::from_utf8(made.stdout).expect("text");
        Self {
            dir,
            key: key.trim().to_owned(),
            running: None,
        }
    }

    fn trusts(&self, log: &str) {
        let file = self.dir.path().join("witness.toml");
        let text = fs::read_to_string(&file).expect("a configuration");
        let text = text.replace("logs = []", &format!("logs = [\"{}\"]", log.trim()));
        fs::write(file, text).expect("written");
    }

    /// Starts it; again at the address where it was.
    pub fn start(&mut self) {
        let at = self.running.as_ref().map(|(_, address)| *address);
        self.stop();
        let at = at.map_or("127.0.0.1:0".to_owned(), |at| at.to_string());
        let mut child = program()
            .args(["--until-stdin-closes", "--listen", &at, "--dir"])
            .arg(self.dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        let _read = BufReader::new(stdout).read_line(&mut line);
        let address = line.trim().strip_prefix("listening on ");
        let address = address.and_then(|address| address.parse().ok());
        self.running = Some((child, address.expect("it listens")));
    }

    /// kill -9.
    pub fn stop(&mut self) {
        if let Some((child, _)) = &mut self.running {
            let _killed = child.kill();
            let _waited = child.wait();
        }
    }

    pub fn entry(&self) -> String {
        entry(self.address(), &self.key)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let (_, address) = self.running.as_ref().expect("it runs");
        *address
    }

    /// How many entries it has cosigned.
    pub fn seen(&self) -> Option<u64> {
        let files = fs::read_dir(self.dir.path()).expect("a directory");
        let mut files = files.map(|file| file.expect("a file").path());
        let file = files.find(|path| path.extension().is_some_and(|e| e == "checkpoint"))?;
        let note = fs::read_to_string(file).ok()?;
        note.lines().nth(1)?.parse().ok()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop();
    }
}

fn entry(address: SocketAddr, key: &str) -> String {
    format!("[[audit.witness]]\nurl = \"http://{address}\"\nkey = \"{key}\"\n")
}

pub fn configure(place: &Place, mode: &str, need: usize, witnesses: &[String]) {
    let file = place.config_file("oubliette.toml");
    let text = fs::read_to_string(&file).expect("a configuration");
    let (text, _) = text.split_once("\n[audit]").unwrap_or((&text, ""));
    let table = format!(
        "\n[audit]\nmode = \"{mode}\"\nwitness_every = \"1s\"\nwitnesses_needed = {need}\n{}",
        witnesses.concat()
    );
    fs::write(&file, format!("{text}{table}")).expect("written");
}

/// The log's public key, before any witness is asked.
fn log_key(place: &Place) -> String {
    Process::start(place).stop();
    let out = place.path().join("before");
    let mut rows = oubliette::store::sqlite::open_rows(&place.data()).expect("rows");
    let key = place.path().join("keys/log.key");
    oubliette::audit::export::export(&mut rows, &key, &out, |_, _| ()).expect("an export");
    fs::read_to_string(out.join("log.vkey")).expect("a key")
}

/// A log that has an entry, and witnesses that trust it.
pub async fn with_witnesses<const N: usize>() -> (Place, [Witness; N]) {
    let place = Place::new();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("first").await.expect("created");
    server.stop();
    let key = log_key(&place);
    let witnesses = std::array::from_fn(|number| {
        let mut witness = Witness::found(&format!("witness.example/w{number}"));
        witness.trusts(&key);
        witness.start();
        witness
    });
    (place, witnesses)
}

async fn create(place: &Place, id: &str) {
    let server = Process::start(place);
    let w = connect(place, &server, "acme/w00").await;
    w.create(id).await.expect("created");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_witnesses_cosign_proves_the_end_and_a_rollback_is_found_by_their_conflict() {
    let (place, [mut one, mut two, three]) = with_witnesses().await;
    let all = [one.entry(), two.entry(), three.entry()];
    configure(&place, "strict", 2, &all);
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    until("it is cosigned at start", async || three.seen() == Some(1)).await;
    let backup = place.path().join("backup");
    server.stop();
    copy(&place.data(), &backup);

    // One of three may be away: two are enough.
    drop(three);
    drop(w);
    create(&place, "second").await;
    assert_eq!((one.seen(), two.seen()), (Some(2), Some(2)), "at the end");
    let tiles = export_of(&place);
    let tiles = tiles.to_str().expect("a path");
    let verify = ["audit", "verify", "--tiles", tiles, "--require-anchor"];
    let both = ["--witness", &one.key, "--witness", &two.key];
    let said = says(0, &[&verify[..], &both].concat());
    for part in [
        "verified to the end",
        "witness.example/w0 cosigned the first 2 entries",
        "witness.example/w1 cosigned the first 2 entries",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let stranger = Witness::found("stranger.example");
    let more = [&verify[..], &both, &["--witness", &stranger.key]].concat();
    assert!(says(2, &more).contains("tail unproven"));
    says(0, &[&more[..], &["--quorum", "2"]].concat());
    assert!(says(2, &verify).contains("tail unproven"));
    python_agrees(&place, tiles.as_ref(), &one.key, &stranger.key);

    // Killed and started again, they remember.
    one.start();
    two.start();
    configure(
        &place,
        "strict",
        2,
        &[one.entry(), two.entry(), all[2].clone()],
    );
    copy(&backup, &place.data());
    let refused = Process::refused(&place);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    for part in [
        "the witness witness.example/w",
        "holds a checkpoint over 2 entries, and the log has 1",
        "restore the newest",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let entries: u64 = place
        .vault()
        .query_row("SELECT count(*) FROM leaves", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(entries, 1, "nothing is written down");

    // Reported, it is served, and the witnesses keep what they know.
    configure(
        &place,
        "report",
        2,
        &[one.entry(), two.entry(), all[2].clone()],
    );
    create(&place, "another").await;
    assert_eq!((one.seen(), two.seen()), (Some(2), Some(2)));
    let log = fs::read_to_string(log_file(&place)).expect("a log");
    assert!(log.contains("the log's anchor does not hold"), "{log}");

    // By now the log is as long as what they know, and another; and longer.
    configure(
        &place,
        "strict",
        2,
        &[one.entry(), two.entry(), all[2].clone()],
    );
    let said = String::from_utf8_lossy(&Process::refused(&place).stderr).into_owned();
    assert!(said.contains("the log was written anew"), "{said}");
    configure(&place, "report", 1, &[one.entry()]);
    create(&place, "yet-another").await;
    configure(&place, "strict", 1, &[one.entry()]);
    let said = String::from_utf8_lossy(&Process::refused(&place).stderr).into_owned();
    assert!(said.contains("the log was written anew"), "{said}");
}

fn python_agrees(place: &Place, tiles: &Path, witness: &str, stranger: &str) {
    let Some(python) = std::env::var_os("OUBLIETTE_TEST_PYTHON") else {
        return crate::fails_closed::not_run(
            "a cosignature in Python",
            "OUBLIETTE_TEST_PYTHON names no Python with cryptography >= 50",
        );
    };
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/verify_log.py");
    let file = place.path().join("witness.vkey");
    for (key, code) in [(witness, 0), (stranger, 1)] {
        fs::write(&file, key).expect("written");
        let mut command = Command::new(&python);
        command
            .arg(&verifier)
            .arg(tiles)
            .arg("--witness")
            .arg(&file);
        let output = command.output().expect("Python");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
    }
}

/// Something that listens where a witness should: it answers every request
/// with these bytes, or never.
struct Impostor {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Impostor {
    fn new(answer: Option<&'static str>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in socket.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                if let Some(answer) = answer {
                    let _read = stream.read(&mut [0; 4_096]);
                    let _written = stream.write_all(answer.as_bytes());
                } else {
                    held.push(stream);
                }
            }
        });
        Self { address, over }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _woken = std::net::TcpStream::connect(self.address);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_that_hangs_or_talks_nonsense_holds_up_no_call_and_cosigns_nothing() {
    let (place, [real]) = with_witnesses().await;
    let key = &Witness::found("elsewhere.example").key;
    let nonsense = [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nyes!\n",
        "HTTP/1.1 409 Conflict\r\nContent-Type: text/x.tlog.size\r\nContent-Length: 3\r\n\r\n-1\n",
        "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        "no HTTP at all\r\n\r\n",
    ];
    for answer in nonsense {
        let impostor = Impostor::new(Some(answer));
        configure(&place, "strict", 1, &[entry(impostor.address, key)]);
        let said = String::from_utf8_lossy(&Process::refused(&place).stderr).into_owned();
        assert!(said.contains("the witness elsewhere.example"), "{said}");
        assert!(said.contains("or set mode = \"report\""), "{said}");
    }
    // Beside one that answers it is not needed, and nobody waits for it.
    let hangs = Impostor::new(None);
    let both = [entry(hangs.address, key), real.entry()];
    configure(&place, "strict", 1, &both);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let probes = port.local_addr().expect("an address");
    drop(port);
    let server = Process::with_metrics(&place, &probes.to_string());
    let w = connect(&place, &server, "acme/w00").await;
    let begun = Instant::now();
    for number in 0..20 {
        w.create(&format!("c{number}")).await.expect("created");
    }
    assert!(begun.elapsed() < LONG);
    until("the other cosigns", async || real.seen() == Some(21)).await;
    until("and it is told", async || {
        metrics(probes).contains("oubliette_witnessed_entries 21")
    })
    .await;
    server.stop();
    let tiles = export_of(&place);
    let tiles = tiles.to_str().expect("a path");
    let verify = ["audit", "verify", "--tiles", tiles, "--require-anchor"];
    says(0, &[&verify[..], &["--witness", &real.key]].concat());
}

/// What the spec says of every status, over real HTTP.
#[test]
fn a_witness_answers_as_the_specification_says_and_reads_no_endless_request() {
    let mut witness = Witness::found("witness.example");
    witness.start();
    let (_, address) = witness.running.as_ref().expect("it runs");
    let ask = |request: String| {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let _sent = stream.write_all(request.as_bytes());
        let mut line = String::new();
        let _read = BufReader::new(stream).read_line(&mut line);
        line
    };
    let post = |path: &str, body: &str| {
        let length = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: w\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let log = "unknown.example\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
               \u{2014} unknown.example Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5\
               /Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let path = "/add-checkpoint";
    for (request, status) in [
        (post(path, "hello"), "400"),
        (post(path, &format!("old 0\n\n{log}")), "404"),
        (post("/elsewhere", ""), "404"),
        (
            "GET /add-checkpoint HTTP/1.1\r\nHost: w\r\n\r\n".to_owned(),
            "405",
        ),
        (post(path, &"x".repeat(100_000)), "413"),
    ] {
        let answered = ask(request);
        assert!(answered.contains(status), "{status}: {answered}");
    }
}
