//! A witness for others' logs as a server: `POST /add-checkpoint` of
//! c2sp.org/tlog-witness, HTTP/1.1 without TLS. Nothing is secret here: a
//! request counts for the signature in it, and so does the answer. Before the
//! internet it belongs behind a proxy that speaks TLS.

use crate::audit::witness::{Answer, Witness};
use crate::catalog::{Section, read_text};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::keys::signing::{PublicKey, SigningKey};
use crate::limits;
use crate::serve::listener::bind;
use crate::serve::lock::DirectoryLock;
use crate::serve::server::stop_signal;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// The file of a witness's directory that says whom it trusts.
pub const WITNESS_CONFIG: &str = "witness.toml";
const KEY: &str = "witness.key";

/// What a witness is told at start.
pub struct WitnessConfig {
    /// Its name, under which its signatures are known.
    pub name: String,
    /// The keys of the logs that it trusts.
    pub logs: Vec<PublicKey>,
}

impl WitnessConfig {
    /// Reads the file in a witness's directory.
    ///
    /// # Errors
    /// [`Error::Setup`] with the place, and what to do.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(WITNESS_CONFIG);
        let (shown, text) = (path.display().to_string(), read_text(&path)?);
        let mut root = Section::parse(&shown, &text)?;
        let rule = "must be a name without spaces and +, such as \"witness.example/w1\" \
                    (C2SP signed-note)";
        let name = root.need("name")?.parsed(rule, name)?;
        let entry = root.need("logs")?;
        let rule = "must be the public key of a log, name+id+key (an export's log.vkey)";
        let logs = entry.list(rule, PublicKey::parse)?;
        if logs.len() > limits::WITNESSED_LOGS {
            return Err(entry.wrong("names too many logs; run a second witness"));
        }
        root.finish()?;
        Ok(Self { name, logs })
    }
}

/// A name that a key may have (C2SP signed-note).
pub fn name(text: &str) -> Option<String> {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    let is_short = (1..=limits::CALLER_ID_BYTES).contains(&text.len());
    (is_short && text.chars().all(fits)).then(|| text.to_owned())
}

/// The key in a witness's directory; made where there is none.
///
/// # Errors
/// [`Error::Setup`] where it cannot be read or made.
pub fn witness_key(dir: &Path, name: String) -> Result<SigningKey> {
    let path = dir.join(KEY);
    if !path.exists() {
        SigningKey::create(&path)?;
    }
    SigningKey::load(&path, name)
}

/// Serves the witness in `dir` until a signal ends it; calls `ready` once it
/// does.
///
/// # Errors
/// [`Error::Setup`] for what must be set right before it can start.
pub async fn witness(dir: &Path, listen: SocketAddr, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let stop = stop_signal()?;
    let _lock = DirectoryLock::take(dir)?;
    let config = WitnessConfig::load(dir)?;
    let key = witness_key(dir, config.name)?;
    let witness = Arc::new(Witness::open(dir, key, config.logs)?);
    let (socket, address) = bind(listen, "--listen").await?;
    ready(address);
    let places = Arc::new(Semaphore::new(limits::WITNESS_CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, socket.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = accepted => accepted,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            sleep(limits::ACCEPT_PAUSE_MAX).await;
            continue;
        };
        let witness = Arc::clone(&witness);
        tokio::spawn(async move {
            // Late or broken, the connection just ends.
            let _ = connection(&witness, stream).await;
            drop(place);
        });
    }
    // What is being remembered is, before the process ends.
    let all = u32::try_from(limits::WITNESS_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = timeout(limits::WITNESS_TIME, places.acquire_many(all)).await;
    Ok(())
}

async fn connection(witness: &Arc<Witness>, stream: TcpStream) -> hyper::Result<()> {
    let answer = |request: Request<Incoming>| async move {
        let answered = timeout(limits::WITNESS_TIME, answer(witness, request)).await;
        let late = |_| plain(StatusCode::REQUEST_TIMEOUT, "be quicker\n");
        Ok::<_, Infallible>(answered.unwrap_or_else(late))
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        // Also how long a connection may idle.
        .header_read_timeout(limits::KEEPALIVE_INTERVAL)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await
}

async fn answer(witness: &Arc<Witness>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/add-checkpoint" {
        return plain(StatusCode::NOT_FOUND, "there is POST /add-checkpoint\n");
    }
    if request.method() != Method::POST {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only POST\n");
    }
    let body = Limited::new(request.into_body(), limits::WITNESS_REQUEST_BYTES);
    let Ok(body) = body.collect().await else {
        return plain(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a proof and a note, no more\n",
        );
    };
    let Ok(body) = String::from_utf8(body.to_bytes().to_vec()) else {
        return plain(StatusCode::BAD_REQUEST, "that is no text\n");
    };
    let witness = Arc::clone(witness);
    let judged = spawn_blocking(move || witness.add_checkpoint(&body, Instant::now()));
    response(judged.await.unwrap_or(Answer::NotKept))
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Cosigned(line) => plain(StatusCode::OK, line),
        Answer::Malformed => plain(
            StatusCode::BAD_REQUEST,
            "that is not \"old\", a proof, an empty line and a checkpoint\n",
        ),
        Answer::Forbidden => plain(StatusCode::FORBIDDEN, "no trusted key signed that\n"),
        Answer::Unknown => plain(StatusCode::NOT_FOUND, "no log of that origin is trusted\n"),
        Answer::Unproven => plain(StatusCode::UNPROCESSABLE_ENTITY, "the proof is wrong\n"),
        Answer::NotKept => plain(StatusCode::INTERNAL_SERVER_ERROR, "it was not kept\n"),
        Answer::Conflict(size) => {
            let mut response = plain(StatusCode::CONFLICT, format!("{size}\n"));
            let kind = http::HeaderValue::from_static("text/x.tlog.size");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Lays out the directory of a new witness.
///
/// # Errors
/// [`Error::Setup`] where it cannot be made.
pub fn found_witness(dir: &Path, name: &str) -> Result<()> {
    let text = format!(
        "# A witness of audit logs (c2sp.org/tlog-witness).\n\n\
         # Its name: its signatures are known under it, so it stays.\nname = \"{name}\"\n\n\
         # The public keys of the logs that it trusts, one text each: an export's\n\
         # log.vkey. Start it again after a change.\nlogs = []\n"
    );
    let made =
        std::fs::create_dir_all(dir).and_then(|()| std::fs::write(dir.join(WITNESS_CONFIG), text));
    made.map_err(|why| {
        let dir = dir.display();
        Error::Setup(format!(
            "{dir} cannot be made: {why}; name one that you may write to"
        ))
    })
}
