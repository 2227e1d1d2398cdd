//! P8 against kill -9 in the gate and in the destruction: a server that stops
//! at a named step of the closing is killed there, and the next one goes on.

use crate::caller::{Caller, Listens, connect, name_on, named, record};
use crate::faulty::{self, Act, Director, Step};
use crate::place::{LONG, Place, until};
use crate::process::Process;
use oubliette::cli::init::CONFIG;
use oubliette::config::Config;
use oubliette::pb;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// Each step, by its name and what is done next there.
const STOPS: [(&str, Step); 8] = [
    ("before the first page", Step::SwapPages),
    ("in the gate, all tested", Step::Condemn),
    ("condemned", Step::Blank),
    ("the provider's key is destroyed", Step::Sweep),
    ("before the certificate", Step::Certify),
    ("certified", Step::EndEpoch),
    ("ended, before the log is emptied", Step::TruncateKeys),
    ("all is done but the job's last word", Step::SetJob),
];

const DIR: &str = "OUBLIETTE_STOPS_IN";
const AT: &str = "OUBLIETTE_STOPS_AT";

#[test]
#[ignore = "the server that the test below kills"]
fn a_server_that_stops_at_a_step() {
    let (Ok(dir), Ok(at)) = (std::env::var(DIR), std::env::var(AT)) else {
        return;
    };
    let at: usize = at.parse().expect("a number");
    let (stop, director) = (STOPS[at].1, Director::new());
    // Erasures empty the log too: only after the epoch's end it is the closing.
    let has_ended = AtomicBool::new(false);
    director.say(move |step| {
        if step == Step::EndEpoch {
            has_ended.store(true, Ordering::Relaxed);
        }
        let late = matches!(stop, Step::TruncateKeys | Step::SetJob);
        if step != stop || (late && !has_ended.load(Ordering::Relaxed)) {
            return Act::Go;
        }
        println!("\nstopped");
        Act::Hang
    });
    let mut config = Config::load(&PathBuf::from(dir).join(CONFIG)).expect("a configuration");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    (config.listen, config.metrics) = (any, any);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let open = faulty::open(&director);
    let served = oubliette::serve::run_over(config, open, std::future::pending(), |address| {
        println!("\nlistening {address}");
    });
    runtime.block_on(served).expect("served");
}

/// That server as a process.
struct Stopping {
    child: Child,
    said: Receiver<String>,
    address: SocketAddr,
}

impl Listens for Stopping {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Stopping {
    fn start(place: &Place, at: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "closing_steps::a_server_that_stops_at_a_step"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .env(DIR, place.path())
            .env(AT, at.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, said) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let address = loop {
            let line = said.recv_timeout(LONG).expect("it starts");
            if let Some(address) = line.strip_prefix("listening ") {
                break address.parse().expect("an address");
            }
        };
        Self {
            child,
            said,
            address,
        }
    }

    /// Waits until it has come to its step, and kills it there.
    fn killed_at_its_step(mut self) {
        while self.said.recv_timeout(LONG).expect("it comes there") != "stopped" {}
        self.child.kill().expect("killed");
        self.child.wait().expect("it ended");
    }
}

fn id(number: usize) -> String {
    format!("stopped-{number:03}")
}

async fn all_is_well(w: &Caller, count: usize, erased: &[usize], at: &str) {
    for number in 0..count {
        let card = w.get(&record(&id(number), "r")).await;
        match (erased.contains(&number), card) {
            (false, Ok(card)) => assert_eq!(name_on(&card), Some(&*id(number)), "{at}"),
            (false, Err(why)) => panic!("{at}: {number} is unreadable: {}", why.reason),
            (true, Ok(_)) => panic!("{at}: {number} came back"),
            (true, Err(why)) => assert!(
                why.is("CUSTOMER_ERASED") || why.is("CUSTOMER_NOT_FOUND"),
                "{at}: {}",
                why.reason
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closing_killed_at_each_of_its_steps_goes_on_and_loses_and_brings_back_nobody() {
    const COUNT: usize = 300;
    let place = Place::quick();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    for number in 0..COUNT {
        w.create(&id(number)).await.expect("created");
        let name = record(&id(number), "r");
        w.put(&name, named(id(number))).await.expect("written");
    }
    server.stop();
    let mut erased = Vec::new();
    for (at, (what, _)) in STOPS.iter().enumerate() {
        let server = Stopping::start(&place, at);
        let w = connect(&place, &server, "acme/w00").await;
        for number in [at * 30, at * 30 + 1] {
            w.erase(&id(number)).await.expect("erased");
            erased.push(number);
        }
        let job = w.close().await.expect("it begins").job;
        tokio::task::block_in_place(|| server.killed_at_its_step());

        let server = Process::start(&place);
        let w = connect(&place, &server, "acme/w00").await;
        all_is_well(&w, COUNT, &erased, what).await;
        until("the closing is done", async || {
            let status = w.key_status().await.expect("counted");
            status.jobs.iter().all(|of| of.job != job)
        })
        .await;
        all_is_well(&w, COUNT, &erased, what).await;
        for number in &erased {
            let gone = w.show(&id(*number)).await.err().expect("gone");
            assert!(gone.is("CUSTOMER_NOT_FOUND"), "{what}: {}", gone.reason);
        }
        let status = w.key_status().await.expect("counted");
        let (newest, older) = status.epochs.split_last().expect("epochs");
        assert_eq!(newest.state(), pb::EpochState::Active, "{what}");
        assert_eq!(older.len(), at + 1, "{what}");
        let destroyed = |of: &pb::EpochStatus| of.state() == pb::EpochState::Destroyed;
        assert!(older.iter().all(destroyed), "{what}");
        server.stop();
        let certified = "SELECT count(*) FROM closed_epochs";
        let certified: i64 = place
            .vault()
            .query_row(certified, [], |row| row.get(0))
            .expect("a count");
        assert_eq!(certified, at as i64 + 1, "{what}: one certificate an epoch");
    }
    println!(
        "{} kills at named steps over {COUNT} customers: 0 unreadable, {} erased, 0 readable",
        STOPS.len(),
        erased.len()
    );
}
