//! A STAND-IN for AWS KMS, in this process, over TLS: the part of its JSON
//! protocol that the provider uses. It enforces what moto does not: a key that
//! is disabled or to be destroyed opens and seals nothing, is destroyed only
//! after 7 to 30 days, and is gone then. It does not check signatures.

use crate::https;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use http::request::Parts;
use oubliette::crypto::random_bytes;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

/// The region that it is.
pub const REGION: &str = "eu-central-1";
/// The credentials that it takes, as the command line tool exports them.
pub const CREDENTIALS: &str = r#"{
  "Version": 1,
  "AccessKeyId": "AKIATEST",
  "SecretAccessKey": "a secret of the test",
  "SessionToken": "a session of the test",
  "Expiration": "2099-01-01T00:00:00Z"
}"#;
const ID: &str = "Credential=AKIATEST/";
const DAY: u64 = 86_400;
/// Keys in one page of a list.
const PAGE: usize = 2;

/// How it behaves from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As documented.
    Well,
    /// It takes connections and never answers.
    Hangs,
    /// It fails inside: 500.
    Down,
    /// 200, and a body that is not JSON.
    Nonsense,
    /// 200, and a body longer than any should be.
    Endless,
    /// It opens everything as another key.
    OpensAnother,
    /// It makes keys, and its answers to that are lost.
    LosesNewKeys,
}

struct Key {
    bytes: [u8; 32],
    description: String,
    tags: Value,
    is_enabled: bool,
    /// Seconds since 1970.
    deletion: Option<u64>,
}

struct State {
    mood: Mood,
    keys: BTreeMap<String, Key>,
    /// Seconds that its clock is ahead.
    ahead: u64,
    /// Operations that were asked for.
    asked: Vec<String>,
}

/// The stand-in.
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
            ahead: 0,
            asked: Vec::new(),
        }));
        let kept = Arc::clone(&state);
        let address = https::serve(certificate, key, move |parts, body| {
            kept.lock().expect("the state").answer(parts, body)
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// Changes how it behaves.
    pub fn becomes(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Days go by: keys whose day has come are gone.
    pub fn time_passes(&self, days: u64) {
        let mut state = self.state();
        state.ahead += days * DAY;
        let now = state.now();
        state
            .keys
            .retain(|_, key| key.deletion.is_none_or(|at| at > now));
    }

    /// What somebody with rights over the service can do: every deletion is
    /// called off. `enabled`: and the keys are enabled again.
    pub fn deletions_are_called_off(&self, enabled: bool) {
        for key in self.state().keys.values_mut() {
            if key.deletion.take().is_some() {
                key.is_enabled = enabled;
            }
        }
    }

    /// Its keys: description, and whether they are to be destroyed.
    pub fn keys(&self) -> Vec<(String, bool)> {
        let state = self.state();
        let keys = state.keys.values();
        keys.map(|key| (key.description.clone(), key.deletion.is_some()))
            .collect()
    }

    /// The tags of its keys.
    pub fn tags(&self) -> Vec<Value> {
        self.state().keys.values().map(|k| k.tags.clone()).collect()
    }

    /// The operations that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }
}

type Answer = Result<Value, &'static str>;

fn arn(id: &str) -> String {
    format!("arn:aws:kms:{REGION}:111122223333:key/{id}")
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_default()
}

fn bytes(body: &Value, key: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = BASE64.decode(text(body, key));
    let bytes = bytes.ok().filter(|bytes| !bytes.is_empty());
    bytes.ok_or("ValidationException")
}

impl State {
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("after 1970").as_secs() + self.ahead
    }

    fn answer(&mut self, parts: &Parts, body: &[u8]) -> Option<https::Reply> {
        let header = |name| {
            let value = parts.headers.get(name).and_then(|v| v.to_str().ok());
            value.unwrap_or_default()
        };
        let signed = header("Authorization");
        let operation = header("X-Amz-Target").trim_start_matches("TrentService.");
        let answer = match self.mood {
            Mood::Hangs => return None,
            _ if !signed.contains(ID) || !signed.contains(REGION) => {
                Err("UnrecognizedClientException")
            }
            Mood::Nonsense => return Some((200, "nonsense".to_owned())),
            Mood::Endless => return Some((200, " ".repeat(2 << 20))),
            Mood::Down => Err("KMSInternalException"),
            _ => {
                self.asked.push(operation.to_owned());
                let body = serde_json::from_slice(body).unwrap_or(Value::Null);
                let answer = self.serve(operation, &body);
                if self.mood == Mood::LosesNewKeys && operation == "CreateKey" {
                    return None;
                }
                answer
            }
        };
        Some(match answer {
            Ok(told) => (200, told.to_string()),
            Err(why) => {
                let status = if why == "KMSInternalException" {
                    500
                } else {
                    400
                };
                let told = json!({"__type": why, "message": "refused"});
                (status, told.to_string())
            }
        })
    }

    fn serve(&mut self, operation: &str, body: &Value) -> Answer {
        let id = text(body, "KeyId");
        let id = id.rsplit('/').next().unwrap_or_default().to_owned();
        match operation {
            "ListKeys" => Ok(self.list(text(body, "Marker"))),
            "CreateKey" => self.create(body),
            "DescribeKey" => self.describe(&id),
            "ScheduleKeyDeletion" => self.schedule(&id, body),
            "Encrypt" => self.encrypt(&id, body),
            "Decrypt" => self.decrypt(&id, body),
            _ => Err("UnknownOperationException"),
        }
    }

    fn list(&self, after: &str) -> Value {
        let mut rest = self.keys.keys().filter(|id| id.as_str() > after);
        let page: Vec<&String> = rest.by_ref().take(PAGE).collect();
        let truncated = rest.next().is_some();
        let named = |id: &&String| json!({"KeyId": id, "KeyArn": arn(id)});
        let keys: Vec<Value> = page.iter().map(named).collect();
        let last = page.last().filter(|_| truncated);
        json!({"Keys": keys, "Truncated": truncated, "NextMarker": last})
    }

    fn create(&mut self, body: &Value) -> Answer {
        let drawn = hex::encode(random_bytes::<16>().expect("randomness"));
        let (a, b, c) = (&drawn[..8], &drawn[9..12], &drawn[12..]);
        let id = format!("{a}-0000-4{b}-8000-{}", &c[..12]);
        let key = Key {
            bytes: random_bytes().expect("randomness"),
            description: text(body, "Description").to_owned(),
            tags: body["Tags"].clone(),
            is_enabled: true,
            deletion: None,
        };
        self.keys.insert(id.clone(), key);
        self.describe(&id)
    }

    fn key(&self, id: &str) -> Result<&Key, &'static str> {
        self.keys.get(id).ok_or("NotFoundException")
    }

    /// A key that works.
    fn usable(&self, id: &str) -> Result<&Key, &'static str> {
        match self.key(id)? {
            Key {
                deletion: Some(_), ..
            } => Err("KMSInvalidStateException"),
            key if !key.is_enabled => Err("DisabledException"),
            key => Ok(key),
        }
    }

    fn describe(&self, id: &str) -> Answer {
        let key = self.key(id)?;
        let state = match (key.deletion, key.is_enabled) {
            (Some(_), _) => "PendingDeletion",
            (None, true) => "Enabled",
            (None, false) => "Disabled",
        };
        let mut metadata = json!({
            "KeyId": id, "Arn": arn(id), "Description": key.description, "KeyState": state,
            "Enabled": state == "Enabled", "KeyManager": "CUSTOMER", "Origin": "AWS_KMS",
        });
        if let Some(at) = key.deletion {
            metadata["DeletionDate"] = at.into();
        }
        Ok(json!({ "KeyMetadata": metadata }))
    }

    fn schedule(&mut self, id: &str, body: &Value) -> Answer {
        let days = body["PendingWindowInDays"].as_u64().unwrap_or(30);
        if !(7..=30).contains(&days) {
            return Err("ValidationException");
        }
        let at = self.now() + days * DAY;
        let key = self.keys.get_mut(id).ok_or("NotFoundException")?;
        if key.deletion.is_some() {
            return Err("KMSInvalidStateException");
        }
        key.deletion = Some(at);
        Ok(json!({"KeyId": arn(id), "DeletionDate": at, "KeyState": "PendingDeletion"}))
    }

    fn encrypt(&self, id: &str, body: &Value) -> Answer {
        let cipher = Aes256Gcm::new((&self.usable(id)?.bytes).into());
        let (msg, aad) = (
            bytes(body, "Plaintext")?,
            body["EncryptionContext"].to_string(),
        );
        let nonce = random_bytes::<12>().expect("randomness");
        let (msg, aad) = (msg.as_slice(), aad.as_bytes());
        let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg, aad });
        let sealed = [id.as_bytes(), &nonce, &sealed.expect("sealed")].concat();
        Ok(json!({"KeyId": arn(id), "CiphertextBlob": BASE64.encode(sealed)}))
    }

    fn decrypt(&self, id: &str, body: &Value) -> Answer {
        let cipher = Aes256Gcm::new((&self.usable(id)?.bytes).into());
        let sealed = bytes(body, "CiphertextBlob")?;
        let bent = "InvalidCiphertextException";
        let (of, sealed) = sealed.split_at_checked(id.len()).ok_or(bent)?;
        if of != id.as_bytes() {
            return Err("IncorrectKeyException");
        }
        let (nonce, msg) = sealed.split_first_chunk::<12>().ok_or(bent)?;
        let aad = body["EncryptionContext"].to_string();
        let aad = aad.as_bytes();
        let opened = cipher.decrypt(&Nonce::from(*nonce), Payload { msg, aad });
        let mut opened = opened.map_err(|_| bent)?;
        if self.mood == Mood::OpensAnother {
            opened[0] ^= 1;
        }
        Ok(json!({"KeyId": arn(id), "Plaintext": BASE64.encode(opened)}))
    }
}
