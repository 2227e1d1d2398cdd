//! The load generator: so many calls in flight, for so long.

use crate::cli::child::{Server, cpu_micros};
use crate::cli::stop::{Done, Stop};
use crate::client::{Client, Failure};
use crate::pb::record_service_client::RecordServiceClient;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

/// A connection that calls are made on.
pub type Connection = RecordServiceClient<Channel>;

/// How long calls are made before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);

const WARMING_UP: u8 = 0;
const MEASURING: u8 = 1;
const OVER: u8 = 2;

/// How a load is made.
pub struct Load {
    /// The connections, used in turn.
    pub channels: Vec<Channel>,
    /// Calls under way at any time.
    pub in_flight: usize,
    /// How long it is measured.
    pub time: Duration,
}

/// What was measured of one server.
pub struct Measured {
    /// Good replies while it was measured.
    pub measured: u64,
    /// Good replies in all, those of the warm-up and the end included.
    pub replies: u64,
    /// How long it was measured.
    pub time: Duration,
    /// CPU that the server used meanwhile, in microseconds.
    pub server_cpu: u64,
    /// CPU that this process used meanwhile, in microseconds.
    pub own_cpu: u64,
    latencies: Vec<u32>,
}

impl Measured {
    /// Good replies a second.
    pub fn rate(&self) -> f64 {
        as_float(self.measured) / self.time.as_secs_f64().max(f64::EPSILON)
    }

    /// The server's CPU a reply, in microseconds.
    pub fn cpu(&self) -> f64 {
        as_float(self.server_cpu) / as_float(self.measured.max(1))
    }

    /// This process's CPU a reply, in microseconds.
    pub fn own_cpu(&self) -> f64 {
        as_float(self.own_cpu) / as_float(self.measured.max(1))
    }

    /// The latency that so many in a thousand replies kept, in microseconds.
    pub fn latency(&self, permille: usize) -> u32 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (self.latencies.len() * permille / 1000).min(last);
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Exact up to 2^53, far beyond any count here.
#[allow(clippy::cast_precision_loss)]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[derive(Default)]
struct Counted {
    measured: u64,
    replies: u64,
    latencies: Vec<u32>,
}

impl Load {
    /// The connections as clients.
    pub fn clients(&self) -> Vec<Client> {
        self.channels.iter().cloned().map(Client::over).collect()
    }

    /// Makes `call` over and over; it gets a connection and a number of its
    /// own from 0, and says whether the reply was good.
    pub async fn run<Call, Answer>(&self, server: &Server, call: Call) -> Done<Measured>
    where
        Call: Fn(Connection, u64) -> Answer + Clone + Send + 'static,
        Answer: Future<Output = Result<bool, Status>> + Send,
    {
        let phase = Arc::new(AtomicU8::new(WARMING_UP));
        let mut workers = JoinSet::new();
        let channels = self.channels.iter().cycle();
        for (first, channel) in (0..self.in_flight as u64).zip(channels) {
            let (phase, call) = (Arc::clone(&phase), call.clone());
            let connection = Connection::new(channel.clone());
            let step = self.in_flight as u64;
            workers.spawn(async move { work(connection, call, first, step, &phase).await });
        }
        tokio::time::sleep(WARM_UP).await;
        let before = (Instant::now(), cpu(server.id())?, cpu(std::process::id())?);
        phase.store(MEASURING, Ordering::Relaxed);
        tokio::time::sleep(self.time).await;
        phase.store(OVER, Ordering::Relaxed);
        let (time, server_cpu) = (before.0.elapsed(), cpu(server.id())? - before.1);
        let own_cpu = cpu(std::process::id())? - before.2;

        let mut all = Counted::default();
        while let Some(worker) = workers.join_next().await {
            let counted = worker.map_err(|_| Stop::Failed("a worker was lost".to_owned()))??;
            all.measured += counted.measured;
            all.replies += counted.replies;
            all.latencies.extend(counted.latencies);
        }
        all.latencies.sort_unstable();
        Ok(Measured {
            measured: all.measured,
            replies: all.replies,
            time,
            server_cpu,
            own_cpu,
            latencies: all.latencies,
        })
    }
}

/// One of the calls in flight: the numbers `first`, `first + step`, ...
async fn work<Call, Answer>(
    connection: Connection,
    call: Call,
    first: u64,
    step: u64,
    phase: &AtomicU8,
) -> Done<Counted>
where
    Call: Fn(Connection, u64) -> Answer,
    Answer: Future<Output = Result<bool, Status>>,
{
    let mut counted = Counted::default();
    let mut number = first;
    while phase.load(Ordering::Relaxed) != OVER {
        let started = Instant::now();
        let good = call(connection.clone(), number)
            .await
            .map_err(|status| Stop::Call(Failure::from_status(&status)))?;
        if !good {
            return Err(Stop::Failed("a reply did not hold what it must".to_owned()));
        }
        number += step;
        counted.replies += 1;
        if phase.load(Ordering::Relaxed) == MEASURING {
            counted.measured += 1;
            let micros = u32::try_from(started.elapsed().as_micros());
            counted.latencies.push(micros.unwrap_or(u32::MAX));
        }
    }
    Ok(counted)
}

fn cpu(process: u32) -> Done<u64> {
    cpu_micros(process)
        .ok_or_else(|| Stop::Failed("the server has ended, or /proc cannot be read".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_latencies() {
        let measured = Measured {
            measured: 1000,
            replies: 1000,
            time: Duration::from_secs(2),
            server_cpu: 30_000,
            own_cpu: 0,
            latencies: (1..=1000).collect(),
        };
        assert_eq!(measured.latency(500), 501);
        assert_eq!(measured.latency(990), 991);
        assert_eq!(measured.latency(1000), 1000);
        assert!((measured.rate() - 500.0).abs() < 1e-9);
        assert!((measured.cpu() - 30.0).abs() < 1e-9);
    }
}
