//! A PKCS#11 token (OASIS PKCS #11 2.40): a hardware security module, or
//! SoftHSM2. One AES-256 key an epoch, drawn in the token, which never lets it
//! out; the token itself seals the master key (CKM_AES_GCM, the context as
//! associated data):
//!
//! ```text
//! 1 | 12 bytes nonce | 32 bytes master key, sealed | 16 bytes tag
//! ```

use super::worker::Worker;
use super::{Assurance, KeyProvider, KeyState, epoch_of, secret_in, shared_name};
use crate::crypto::{Deployment, MasterKey, WrapContext, random_bytes};
use crate::error::{Error, Result, Unavailable};
use crate::limits;
use crate::secret::{Key32, SecretBytes, SecretText};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Refusal, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What the token answers.
type Asked<T> = std::result::Result<T, Refusal>;

/// First byte of what [`Pkcs11Provider`] wraps.
const FORM: u8 = 1;
/// The nonce of CKM_AES_GCM (NIST SP 800-38D, 8.2.2: 96 random bits).
const NONCE_BYTES: usize = 12;
/// Its tag.
const TAG_BITS: u64 = 128;

/// Where the token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The vendor's library, loaded into the process.
    pub module: PathBuf,
    /// The label of the token.
    pub token: String,
    /// The file that holds the user's PIN, 0600.
    pub pin: PathBuf,
}

/// Keys in a token.
pub struct Pkcs11Provider {
    place: Place,
    worker: Worker<Token>,
}

/// The token as the worker's thread knows it: a session is one thread's.
struct Token {
    place: Place,
    session: Option<Session>,
    /// A PIN that the token refused. It is not tried again: a few wrong ones
    /// lock the token.
    refused_pin: Option<SecretText>,
}

/// Libraries are loaded and initialised once a process and stay.
static LOADED: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

impl Pkcs11Provider {
    /// The provider of a token, which is looked for when it is first needed.
    pub fn new(place: Place) -> Result<Self> {
        let token = Token {
            place: place.clone(),
            session: None,
            refused_pin: None,
        };
        let worker = Worker::start("pkcs11", limits::PROVIDER_TIME, move || token)?;
        Ok(Self { place, worker })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Session) -> Asked<T> + Send + 'static,
    ) -> Result<T> {
        self.worker.ask(|token| token.with_session(work))
    }

    fn none(&self, name: &str) -> Error {
        Error::Setup(format!(
            "the token {} has no key {name}; it was destroyed, or this is another token",
            self.place.token
        ))
    }
}

impl Token {
    /// Does `work` in a session that is logged in. After a failure the next
    /// work begins with a new session.
    fn with_session<T>(&mut self, work: impl FnOnce(&Session) -> Asked<T>) -> Result<T> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.log_in()?,
        };
        let done = work(&session).map_err(|why| down(&why))?;
        self.session = Some(session);
        Ok(done)
    }

    fn log_in(&mut self) -> Result<Session> {
        let module = loaded(&self.place.module)?;
        let slots = module.get_slots_with_token().map_err(|why| down(&why))?;
        let label = |slot| module.get_token_info(slot).ok();
        let is_ours = |slot: &_| label(*slot).is_some_and(|t| t.label() == self.place.token);
        let mut ours = slots.into_iter().filter(is_ours);
        let (Some(slot), None) = (ours.next(), ours.next()) else {
            let (token, module) = (&self.place.token, self.place.module.display());
            tracing::error!(token, %module, "there is not exactly one token of that label");
            return Err(Error::Unavailable(Unavailable::KeyProvider));
        };
        let session = module.open_rw_session(slot).map_err(|why| down(&why))?;
        let pin = secret_in(&self.place.pin, "the PIN of the token")?;
        let was_refused = self.refused_pin.as_ref();
        if was_refused.is_some_and(|refused| refused.expose() == pin.expose()) {
            return Err(self.wrong_pin());
        }
        let auth = AuthPin::new(pin.expose().into());
        match session.login(UserType::User, Some(&auth)) {
            Ok(()) | Err(Refusal::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
            Err(Refusal::Pkcs11(
                RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinLocked
                | RvError::PinExpired,
                _,
            )) => {
                self.refused_pin = Some(pin);
                Err(self.wrong_pin())
            }
            Err(why) => Err(down(&why)),
        }
    }

    fn wrong_pin(&self) -> Error {
        Error::Setup(format!(
            "the token {} refuses the PIN in {}; correct it there (it is not tried again as \
             it is: a few wrong ones lock a token)",
            self.place.token,
            self.place.pin.display()
        ))
    }
}

fn loaded(path: &Path) -> Result<Pkcs11> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = loaded.get(path) {
        return Ok(module.clone());
    }
    let refused = |what| {
        let path = path.display();
        Error::Setup(format!(
            "{path} {what}; name the PKCS#11 library of the token's vendor"
        ))
    };
    let module = Pkcs11::new(path).map_err(|_| refused("cannot be loaded"))?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Refusal::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(why) => {
            log(&why);
            return Err(refused("cannot be initialised"));
        }
    }
    loaded.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// The token cannot be asked now. The log has the return value's name.
fn down(why: &Refusal) -> Error {
    log(why);
    Error::Unavailable(Unavailable::KeyProvider)
}

fn log(why: &Refusal) {
    match why {
        Refusal::Pkcs11(value, function) => {
            tracing::warn!(?value, ?function, "the PKCS#11 token refuses");
        }
        _ => tracing::warn!("the PKCS#11 library does not behave as it must"),
    }
}

/// Whether a refusal to decrypt says something of the token and nothing of
/// what was to be opened. Tokens disagree on how they call a wrong tag, so
/// everything else counts as that.
fn is_of_the_token(why: &Refusal) -> bool {
    use RvError as Rv;
    let Refusal::Pkcs11(value, _) = why else {
        return true;
    };
    matches!(
        value,
        Rv::DeviceError
            | Rv::DeviceMemory
            | Rv::DeviceRemoved
            | Rv::HostMemory
            | Rv::SessionClosed
            | Rv::SessionHandleInvalid
            | Rv::TokenNotPresent
            | Rv::UserNotLoggedIn
            | Rv::CryptokiNotInitialized
            | Rv::FunctionNotSupported
            | Rv::MechanismInvalid
    )
}

fn found(session: &Session, name: &str) -> Asked<Vec<ObjectHandle>> {
    session.find_objects(&[
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Label(name.as_bytes().to_vec()),
    ])
}

/// The one key of that name; of two nobody can tell which wrapped what.
fn the_one(session: &Session, name: &str) -> Asked<Option<ObjectHandle>> {
    let found = found(session, name)?;
    Ok(match found.as_slice() {
        [one] => Some(*one),
        _ => None,
    })
}

fn draw(session: &Session, name: &str) -> Asked<()> {
    let key = session.generate_key(
        &Mechanism::AesKeyGen,
        &[
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::ValueLen(32_u64.into()),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::Wrap(false),
            Attribute::Unwrap(false),
            Attribute::Label(name.as_bytes().to_vec()),
            Attribute::Id(name.as_bytes().to_vec()),
        ],
    )?;
    let kept =
        session.get_attributes(key, &[AttributeType::Sensitive, AttributeType::Extractable])?;
    let is_kept =
        kept.contains(&Attribute::Sensitive(true)) && kept.contains(&Attribute::Extractable(false));
    if is_kept {
        return Ok(());
    }
    session.destroy_object(key)?;
    tracing::error!("the token would let its keys out, so none was left in it");
    Err(Refusal::NotSupported)
}

fn seal(
    session: &Session,
    name: &str,
    aad: &[u8],
    key: &Key32,
    mut nonce: [u8; NONCE_BYTES],
) -> Asked<Option<Vec<u8>>> {
    let Some(of) = the_one(session, name)? else {
        return Ok(None);
    };
    // Some tokens draw the nonce themselves and put it there.
    let gcm = GcmParams::new(&mut nonce, aad, TAG_BITS.into())?;
    let sealed = session.encrypt(&Mechanism::AesGcm(gcm), of, key.expose())?;
    Ok(Some([&[FORM][..], &nonce, &sealed].concat()))
}

/// Opened, or why not.
enum Opened {
    NoKey,
    DoesNotOpen,
    Key(SecretBytes),
}

fn open(session: &Session, name: &str, aad: &[u8], wrapped: &[u8]) -> Asked<Opened> {
    let Some(of) = the_one(session, name)? else {
        return Ok(Opened::NoKey);
    };
    let Some((&FORM, rest)) = wrapped.split_first() else {
        return Ok(Opened::DoesNotOpen);
    };
    let Some((nonce, sealed)) = rest.split_first_chunk::<NONCE_BYTES>() else {
        return Ok(Opened::DoesNotOpen);
    };
    let mut nonce = *nonce;
    let gcm = GcmParams::new(&mut nonce, aad, TAG_BITS.into())?;
    match session.decrypt(&Mechanism::AesGcm(gcm), of, sealed) {
        Ok(key) => Ok(Opened::Key(SecretBytes::new(key))),
        Err(why) if is_of_the_token(&why) => Err(why),
        Err(_) => Ok(Opened::DoesNotOpen),
    }
}

impl KeyProvider for Pkcs11Provider {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn assurance(&self) -> Assurance {
        Assurance::Hsm
    }

    fn create(&self, deployment: Deployment, epoch: u32) -> Result<String> {
        let name = shared_name(deployment, epoch);
        let new = name.clone();
        let made = self.ask(move |session| {
            if !found(session, &new)?.is_empty() {
                return Ok(false);
            }
            draw(session, &new).map(|()| true)
        })?;
        if made {
            return Ok(name);
        }
        Err(Error::Setup(format!(
            "the token {} holds a key {name} already; nothing was made",
            self.place.token
        )))
    }

    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        let nonce = random_bytes()?;
        let sealed = master.wrap_with(context, |aad, key| {
            let (aad, of) = (aad.to_vec(), name.to_owned());
            self.ask(move |session| seal(session, &of, &aad, &key, nonce))
        })?;
        sealed.ok_or_else(|| self.none(name))
    }

    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        MasterKey::unwrap_with(context, |aad| {
            let (aad, of, wrapped) = (aad.to_vec(), name.to_owned(), wrapped.to_vec());
            match self.ask(move |session| open(session, &of, &aad, &wrapped))? {
                Opened::Key(key) => Ok(key),
                Opened::NoKey => Err(self.none(name)),
                Opened::DoesNotOpen => Err(Error::Setup(format!(
                    "the key {name} in the token {} does not open this vault's master key",
                    self.place.token
                ))),
            }
        })
    }

    fn destroy(&self, name: &str) -> Result<KeyState> {
        let of = name.to_owned();
        self.ask(move |session| {
            for key in found(session, &of)? {
                session.destroy_object(key)?;
            }
            Ok(())
        })?;
        self.state(name)
    }

    fn state(&self, name: &str) -> Result<KeyState> {
        let of = name.to_owned();
        let left = self.ask(move |session| found(session, &of))?;
        Ok(if left.is_empty() {
            KeyState::Gone
        } else {
            KeyState::Usable
        })
    }

    fn stray(&self, deployment: Deployment, newest: u32) -> Result<Vec<String>> {
        let labels = self.ask(|session| {
            let all = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY)])?;
            let label = |key| session.get_attributes(key, &[AttributeType::Label]);
            all.into_iter().map(label).collect::<Asked<Vec<_>>>()
        })?;
        let name = |of: Attribute| match of {
            Attribute::Label(label) => String::from_utf8(label).ok(),
            _ => None,
        };
        let names = labels.into_iter().flatten().filter_map(name);
        let is_stray = |name: &String| epoch_of(deployment, name).is_some_and(|e| e > newest);
        Ok(names.filter(is_stray).collect())
    }
}
