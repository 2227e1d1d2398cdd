//! P5: once a withdrawal is acknowledged, no read for that purpose that starts
//! afterwards succeeds. Whole histories of consents, withdrawals and reads at
//! the same time are held against a model that knows one thing at a time
//! (linearizability, per customer and purpose: it composes), and a cache of
//! decisions is planted to see that the checker sees.

use crate::caller::{Caller, connect};
use crate::consent::{OFFERS, with_card, yes};
use crate::place::{Place, Server, is_long};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Operations of one history: the checker's cost grows with it.
const OPERATIONS: usize = 200;
/// Who reads one customer at a time.
const READERS: usize = 4;
/// Consents and withdrawals among the operations of a history.
const WORDS: usize = 20;

/// What the purpose may do with one customer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Say(bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Give,
    Withdraw,
    Read,
}

/// Whether something was read; a word is answered with `false`.
type Plaintext = bool;

impl SequentialSpec for Say {
    type Op = Operation;
    type Ret = Plaintext;

    fn invoke(&mut self, operation: &Operation) -> Plaintext {
        match operation {
            Operation::Give => self.0 = true,
            Operation::Withdraw => self.0 = false,
            Operation::Read => return self.0,
        }
        false
    }
}

type History = Arc<Mutex<LinearizabilityTester<usize, Say>>>;

/// Whether a read gives a plaintext; what denies it is the customer's word.
async fn reads(caller: &Caller, id: &str) -> Plaintext {
    match caller.read_for(id, OFFERS).await {
        Ok(()) => true,
        Err(denied) => {
            assert!(denied.reason.starts_with("CONSENT_"), "{denied}");
            false
        }
    }
}

async fn reader(
    caller: Caller,
    id: String,
    who: usize,
    history: History,
) -> Vec<(Instant, Plaintext)> {
    let mut seen = Vec::new();
    for _ in 0..(OPERATIONS - WORDS) / READERS {
        let begun = Operation::Read;
        history.lock().unwrap().on_invoke(who, begun).unwrap();
        let read = reads(&caller, &id).await;
        history.lock().unwrap().on_return(who, read).unwrap();
        seen.push((Instant::now(), read));
        tokio::task::yield_now().await;
    }
    seen
}

/// Gives and withdraws in turn; answers when each withdrawal was sent.
async fn speaker(caller: Caller, id: String, history: History) -> Vec<(Instant, Instant)> {
    let mut withdrawn = Vec::new();
    for word in 0..WORDS {
        let operation = [Operation::Give, Operation::Withdraw][word % 2];
        history
            .lock()
            .unwrap()
            .on_invoke(READERS, operation)
            .unwrap();
        let sent = Instant::now();
        if operation == Operation::Give {
            caller.answer(yes(&id)).await.expect("on record");
        } else {
            caller.withdraw(&id, OFFERS).await.expect("taken back");
            withdrawn.push((sent, Instant::now()));
        }
        history.lock().unwrap().on_return(READERS, false).unwrap();
        tokio::task::yield_now().await;
    }
    withdrawn
}

/// One history of one customer; whether it is linearizable, and for each
/// withdrawal how long after it was sent the last read still succeeded.
async fn history(callers: &[Caller], id: String) -> (bool, Vec<Duration>) {
    with_card(&callers[0], &id).await;
    let history: History = Arc::new(Mutex::new(LinearizabilityTester::new(Say(false))));
    let mut readers = Vec::new();
    for who in 0..READERS {
        let caller = callers[who % callers.len()].clone();
        let history = Arc::clone(&history);
        readers.push(tokio::spawn(reader(caller, id.clone(), who, history)));
    }
    let words = speaker(callers[0].clone(), id, Arc::clone(&history)).await;
    let mut reads = Vec::new();
    for reader in readers {
        reads.extend(reader.await.expect("no panic"));
    }
    let silence = words.iter().map(|(sent, heard)| {
        let late = reads
            .iter()
            .filter(|(at, read)| *read && at > sent && at <= heard);
        late.map(|(at, _)| *at - *sent).max().unwrap_or_default()
    });
    let silence = silence.collect();
    let tester = history.lock().unwrap().clone();
    assert_eq!(tester.len(), OPERATIONS);
    // The search is deep; it gets a stack of its own.
    let holds = std::thread::Builder::new()
        .stack_size(256 << 20)
        .spawn(move || tester.is_consistent())
        .expect("a thread");
    (holds.join().expect("no panic"), silence)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plaintext_leaves_after_a_withdrawal_was_acknowledged() {
    let place = Place::quick();
    let server = Server::start(&place);
    let mut callers = Vec::new();
    for number in 0..READERS {
        callers.push(connect(&place, &server, &format!("acme/w{number:02}")).await);
    }
    let (rounds, together) = if is_long() { (63, 8) } else { (3, 4) };
    let (mut silences, mut histories) = (Vec::new(), 0);
    for round in 0..rounds {
        let mut under_way = tokio::task::JoinSet::new();
        for number in 0..together {
            let callers = callers.clone();
            let id = format!("c{round}x{number}");
            under_way.spawn(async move { history(&callers, id).await });
        }
        while let Some(done) = under_way.join_next().await {
            let (holds, silence) = done.expect("no panic");
            assert!(holds, "a history that no order explains");
            silences.extend(silence);
            histories += 1;
        }
    }
    silences.sort();
    let at = |part: usize| silences[(silences.len() - 1) * part / 1_000];
    println!(
        "{} operations in {histories} histories: each linearizable; from a withdrawal to silence \
         p50 {:?}, p99 {:?}, longest {:?}",
        histories * OPERATIONS,
        at(500),
        at(990),
        at(1_000)
    );
}

/// A reader that remembers a yes, as a vault that remembered decisions would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_of_decisions_would_be_seen() {
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    with_card(&w, "a").await;
    for is_planted in [false, true] {
        let mut history = LinearizabilityTester::new(Say(false));
        let mut remembered = false;
        let (reader, speaker) = (0, 1);
        for operation in [
            Operation::Read,
            Operation::Give,
            Operation::Read,
            Operation::Withdraw,
            Operation::Read,
        ] {
            let who = if operation == Operation::Read {
                reader
            } else {
                speaker
            };
            history.on_invoke(who, operation).unwrap();
            let read = match operation {
                Operation::Give => w.answer(yes("a")).await.map(|_| false).expect("on record"),
                Operation::Withdraw => w
                    .withdraw("a", OFFERS)
                    .await
                    .map(|_| false)
                    .expect("taken back"),
                Operation::Read => (is_planted && remembered) || reads(&w, "a").await,
            };
            remembered |= read;
            history.on_return(who, read).unwrap();
        }
        assert_eq!(
            history.is_consistent(),
            !is_planted,
            "planted: {is_planted}"
        );
    }
}
