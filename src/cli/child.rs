//! A server of ours as a child process: started, waited for, ended with us.

use super::stop::{Done, Stop};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How every server of ours says that it is ready.
pub const READY: &str = "listening on ";

/// A running child. It is killed when this is dropped, and it ends by itself
/// when this process dies, because its stdin closes.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts this same program with other arguments and waits until it says
    /// where it listens. Its stderr goes to the end of the file `log`.
    pub fn start(arguments: &[&str], log: &Path) -> Done<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Stop::Failed(format!("this program cannot find itself: {error}")))?;
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| Stop::file(log, "written", &error))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| Stop::Failed(format!("the server cannot be started: {error}")))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // A read error leaves the line empty, and that is told below.
            let _read = BufReader::new(stdout).read_line(&mut line);
        }
        let said = line.trim().strip_prefix(READY);
        match said.and_then(|address| address.parse().ok()) {
            Some(address) => Ok(Self {
                child,
                address,
                log: log.to_owned(),
            }),
            None => {
                let _killed = child.kill();
                let _waited = child.wait();
                Err(Stop::Failed(format!(
                    "the server did not start; it said:\n{}",
                    tail(log)
                )))
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of what it wrote to stderr.
    pub fn said(&self) -> String {
        tail(&self.log)
    }

    /// kill -9: no time to say goodbye.
    pub fn kill(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }

    /// Lets it drain and end.
    pub fn stop(&mut self) -> Done {
        drop(self.child.stdin.take());
        self.wait()
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> Done {
        let status = self.child.wait();
        status
            .map(|_| ())
            .map_err(|error| Stop::Failed(format!("the server was lost: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// CPU that a process has used so far, all its threads together, in
/// microseconds (proc(5): utime and stime in ticks of 1/100 s).
pub fn cpu_micros(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the name in brackets and may hold spaces.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * 10_000)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(20).collect();
    let lines: Vec<&str> = lines.into_iter().rev().collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu() {
        let before = cpu_micros(std::process::id()).unwrap();
        let started = std::time::Instant::now();
        let mut sum = 0_u64;
        while started.elapsed().as_millis() < 100 {
            sum = sum.wrapping_mul(31).wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0 && cpu_micros(std::process::id()).unwrap() > before);
        assert_eq!(cpu_micros(0), None);
    }
}
