//! A STAND-IN for the Transit engine of OpenBao and HashiCorp Vault, in this
//! process, over TLS: the part of the documented API that the provider uses.
//! It keeps to what the real engine enforces: a key is deleted only when that
//! was allowed, a deleted one opens nothing, associated data must match, a
//! second creation changes nothing, and sealing under an unknown name makes a
//! key of it. `docs/PROVIDERS.md` has the commands to check a real server.

use crate::https;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use http::Method;
use http::request::Parts;
use oubliette::crypto::random_bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The token that it takes.
pub const TOKEN: &str = "s.a-token-of-the-test";

/// How it behaves from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As documented.
    Well,
    /// It takes connections and never answers.
    Hangs,
    /// Sealed: 503.
    Sealed,
    /// 200, and a body that is not JSON.
    Nonsense,
    /// It opens everything as another key.
    OpensAnother,
    /// It deletes no key: 503.
    KeepsKeys,
}

struct Key {
    bytes: [u8; 32],
    deletion_allowed: bool,
}

struct State {
    mood: Mood,
    keys: BTreeMap<String, Key>,
    /// Paths that were asked for.
    asked: Vec<String>,
}

/// The stand-in, until it is dropped.
pub struct StandIn {
    /// `https://localhost:PORT`.
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl StandIn {
    /// Serves with the certificate and key in these PEM files.
    pub fn start(certificate: &Path, key: &Path) -> Self {
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Well,
            keys: BTreeMap::new(),
            asked: Vec::new(),
        }));
        let kept = Arc::clone(&state);
        let address = https::serve(certificate, key, move |parts, body| {
            kept.lock().expect("the state").answer(parts, body)
        });
        Self { address, state }
    }

    /// Changes how it behaves.
    pub fn becomes(&self, mood: Mood) {
        self.state.lock().expect("the state").mood = mood;
    }

    /// The names of its keys.
    pub fn keys(&self) -> Vec<String> {
        self.state
            .lock()
            .expect("the state")
            .keys
            .keys()
            .cloned()
            .collect()
    }

    /// The paths that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().expect("the state").asked.clone()
    }
}

fn refused(status: u16, why: &str) -> (u16, Value) {
    (status, json!({ "errors": [why] }))
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}

impl State {
    fn answer(&mut self, parts: &Parts, body: &[u8]) -> Option<https::Reply> {
        let token = parts.headers.get("X-Vault-Token");
        let path = parts.uri.to_string();
        let (status, reply) = match self.mood {
            Mood::Hangs => return None,
            _ if token.is_none_or(|t| t != TOKEN) => refused(403, "permission denied"),
            Mood::Sealed => refused(503, "Vault is sealed"),
            Mood::KeepsKeys if parts.method == Method::DELETE => refused(503, "not now"),
            Mood::Nonsense => (200, json!("nonsense")),
            _ => {
                self.asked.push(path.clone());
                let body = serde_json::from_slice(body).unwrap_or(Value::Null);
                self.serve(&parts.method, &path, &body)
            }
        };
        let text = match reply {
            Value::Null => String::new(),
            reply => reply.to_string(),
        };
        Some((status, text))
    }

    fn serve(&mut self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let Some(path) = path.strip_prefix("/v1/transit/") else {
            return refused(404, "no handler for route");
        };
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["keys?list=true"]) => self.list(),
            (&Method::GET, ["keys", name]) => self.read(name),
            (&Method::POST, ["keys", name]) => self.create(name),
            (&Method::POST, ["keys", name, "config"]) => self.configure(name, body),
            (&Method::DELETE, ["keys", name]) => self.delete(name),
            (&Method::POST, ["encrypt", name]) => self.encrypt(name, body),
            (&Method::POST, ["decrypt", name]) => self.decrypt(name, body),
            _ => refused(405, "unsupported operation"),
        }
    }

    fn list(&self) -> (u16, Value) {
        let names: Vec<&String> = self.keys.keys().collect();
        if names.is_empty() {
            return (404, json!({ "errors": [] }));
        }
        (200, json!({ "data": { "keys": names } }))
    }

    fn read(&self, name: &str) -> (u16, Value) {
        match self.keys.get(name) {
            None => (404, json!({ "errors": [] })),
            Some(key) => {
                let data = json!({
                    "name": name,
                    "type": "aes256-gcm96",
                    "exportable": false,
                    "allow_plaintext_backup": false,
                    "deletion_allowed": key.deletion_allowed,
                    "derived": false,
                    "latest_version": 1,
                });
                (200, json!({ "data": data }))
            }
        }
    }

    fn create(&mut self, name: &str) -> (u16, Value) {
        self.keys.entry(name.to_owned()).or_insert_with(|| Key {
            bytes: random_bytes().expect("randomness"),
            deletion_allowed: false,
        });
        self.read(name)
    }

    fn configure(&mut self, name: &str, body: &Value) -> (u16, Value) {
        let Some(key) = self.keys.get_mut(name) else {
            return refused(400, "no existing key named so could be found");
        };
        key.deletion_allowed = body["deletion_allowed"].as_bool().unwrap_or(false);
        self.read(name)
    }

    fn delete(&mut self, name: &str) -> (u16, Value) {
        match self.keys.get(name) {
            None => refused(
                400,
                "error deleting policy: could not delete key; not found",
            ),
            Some(key) if !key.deletion_allowed => refused(400, "deletion is not allowed"),
            Some(_) => {
                self.keys.remove(name);
                (204, Value::Null)
            }
        }
    }

    fn encrypt(&mut self, name: &str, body: &Value) -> (u16, Value) {
        self.create(name);
        let plain = BASE64.decode(text(body, "plaintext"));
        let aad = BASE64.decode(text(body, "associated_data"));
        let (Ok(msg), Ok(aad)) = (plain, aad) else {
            return refused(400, "failed to base64-decode");
        };
        let key = Aes256Gcm::new((&self.keys[name].bytes).into());
        let nonce = random_bytes::<12>().expect("randomness");
        let payload = Payload {
            msg: &msg,
            aad: &aad,
        };
        let sealed = key.encrypt(&Nonce::from(nonce), payload).expect("sealed");
        let text = BASE64.encode([&nonce[..], &sealed].concat());
        (
            200,
            json!({ "data": { "ciphertext": format!("vault:v1:{text}"), "key_version": 1 } }),
        )
    }

    fn decrypt(&self, name: &str, body: &Value) -> (u16, Value) {
        let Some(key) = self.keys.get(name) else {
            return refused(400, "encryption key not found");
        };
        let sealed = text(body, "ciphertext").strip_prefix("vault:v1:");
        let sealed = sealed.and_then(|text| BASE64.decode(text).ok());
        let aad = BASE64
            .decode(text(body, "associated_data"))
            .unwrap_or_default();
        let opened = sealed.as_deref().and_then(|sealed| {
            let (nonce, msg) = sealed.split_first_chunk::<12>()?;
            let cipher = Aes256Gcm::new((&key.bytes).into());
            cipher
                .decrypt(&Nonce::from(*nonce), Payload { msg, aad: &aad })
                .ok()
        });
        let Some(mut opened) = opened else {
            return refused(400, "cipher: message authentication failed");
        };
        if self.mood == Mood::OpensAnother {
            opened[0] ^= 1;
        }
        (
            200,
            json!({ "data": { "plaintext": BASE64.encode(opened) } }),
        )
    }
}
