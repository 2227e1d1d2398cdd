//! The AWS KMS provider: over the stand-in, which enforces the states of keys,
//! and over moto, another's reading of the wire.

use crate::kms_stand_in::{CREDENTIALS, Mood, REGION, StandIn};
use crate::suite::{OURS, conforms, place};
use oubliette::crypto::MasterKey;
use oubliette::error::{Error, Unavailable};
use oubliette::keys::aws_kms::{self, Place};
use oubliette::keys::{KeyProvider, KeyState, Providers};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const DOWN: Error = Error::Unavailable(Unavailable::KeyProvider);

struct Scene {
    service: StandIn,
    place: Place,
    dir: TempDir,
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("0600");
}

/// A certificate for localhost, and credentials.
fn laid_out() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    write(&dir.path().join("server.pem"), &made.cert.pem());
    let key = made.signing_key.serialize_pem();
    write(&dir.path().join("server.key"), &key);
    write(&dir.path().join("credentials.json"), CREDENTIALS);
    dir
}

fn place_at(address: &str, dir: &Path) -> Place {
    Place {
        region: REGION.to_owned(),
        endpoint: Some(address.to_owned()),
        ca: Some(dir.join("server.pem")),
        credentials: dir.join("credentials.json"),
        pending_days: 7,
    }
}

impl Scene {
    fn new() -> Self {
        let dir = laid_out();
        let at = |name: &str| dir.path().join(name);
        let service = StandIn::start(&at("server.pem"), &at("server.key"));
        let place = place_at(&service.address, dir.path());
        Self {
            service,
            place,
            dir,
        }
    }

    fn provider(&self) -> Arc<dyn KeyProvider> {
        aws_kms::at(self.place.clone()).expect("a provider")
    }
}

fn today() -> i32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i32::try_from(since.expect("after 1970").as_secs() / 86_400).expect("a day")
}

#[test]
fn the_service_conforms() {
    let scene = Scene::new();
    conforms(|| scene.provider(), true);
    let asked = scene.service.asked();
    let known = [
        "ListKeys",
        "DescribeKey",
        "CreateKey",
        "Encrypt",
        "Decrypt",
        "ScheduleKeyDeletion",
    ];
    let is_known = |one: &String| known.contains(&one.as_str());
    assert!(
        asked.iter().all(is_known),
        "no rotation, no alias, nothing else"
    );
    let tags = scene.service.tags();
    let vault = hex::encode(OURS.0);
    let is_ours = |tags: &&serde_json::Value| tags[0]["TagValue"] == vault.as_str();
    assert!(tags.iter().filter(is_ours).count() >= 5, "{tags:?}");
}

#[test]
fn destroying_a_key_is_scheduled_can_be_called_off_and_is_said_so_until_it_is_gone() {
    let scene = Scene::new();
    let (provider, here) = (scene.provider(), place(OURS, 1));
    let name = provider.create(OURS, 1).expect("a key");
    let master = MasterKey::generate().expect("a key");
    let wrapped = provider.wrap(&name, &here, &master).expect("wrapped");
    let in_a_week = |state: KeyState| match state {
        // It may have become tomorrow meanwhile.
        KeyState::Scheduled(day) => (7..=8).contains(&(day.0 - today())),
        _ => false,
    };
    assert!(in_a_week(provider.destroy(&name).expect("scheduled")));
    assert!(provider.unwrap(&name, &here, &wrapped).is_err());

    scene.service.deletions_are_called_off(false);
    assert_eq!(provider.state(&name), Err(DOWN), "it could be enabled");
    assert!(provider.unwrap(&name, &here, &wrapped).is_err());
    assert!(in_a_week(provider.destroy(&name).expect("scheduled anew")));
    scene.service.deletions_are_called_off(true);
    assert_eq!(provider.state(&name), Ok(KeyState::Usable), "and is said");
    assert!(provider.unwrap(&name, &here, &wrapped).is_ok());

    assert!(in_a_week(provider.destroy(&name).expect("scheduled anew")));
    scene.service.time_passes(6);
    assert_ne!(provider.state(&name), Ok(KeyState::Gone));
    scene.service.time_passes(1);
    assert_eq!(provider.state(&name), Ok(KeyState::Gone));
    assert_eq!(provider.destroy(&name), Ok(KeyState::Gone), "harmless");
    scene.service.deletions_are_called_off(true);
    assert!(provider.unwrap(&name, &here, &wrapped).is_err());
}

#[test]
fn a_service_that_hangs_fails_or_talks_nonsense_is_down_in_time_and_nothing_is_lost() {
    let scene = Scene::new();
    let provider = scene.provider();
    let name = provider.create(OURS, 1).expect("a key");
    let (here, master) = (place(OURS, 1), MasterKey::generate().expect("a key"));
    let wrapped = provider.wrap(&name, &here, &master).expect("wrapped");
    for mood in [Mood::Down, Mood::Nonsense, Mood::Endless, Mood::Hangs] {
        scene.service.becomes(mood);
        assert_eq!(provider.state(&name), Err(DOWN.clone()));
        if mood == Mood::Hangs {
            continue;
        }
        let opened = provider.unwrap(&name, &here, &wrapped);
        assert_eq!(opened.err(), Some(DOWN.clone()));
        assert_eq!(provider.wrap(&name, &here, &master), Err(DOWN.clone()));
        assert_eq!(provider.destroy(&name), Err(DOWN.clone()));
        assert_eq!(provider.create(OURS, 2), Err(DOWN.clone()));
    }
    scene.service.becomes(Mood::Well);
    assert!(provider.unwrap(&name, &here, &wrapped).is_ok());
    assert_eq!(scene.service.keys().len(), 1, "no half state");
}

/// A key whose name never came back is found by its description, so that it is
/// destroyed before another is made; and it was asked for once.
#[test]
fn a_new_key_whose_answer_is_lost_is_a_stray() {
    let scene = Scene::new();
    let provider = scene.provider();
    scene.service.becomes(Mood::LosesNewKeys);
    assert_eq!(provider.create(OURS, 2), Err(DOWN));
    scene.service.becomes(Mood::Well);
    assert_eq!(scene.service.keys().len(), 1, "it was asked for twice");
    let stray = provider.stray(OURS, 1).expect("a list");
    assert_eq!(stray.len(), 1);
    let state = provider.destroy(&stray[0]).expect("destroyed");
    assert!(matches!(state, KeyState::Scheduled(_)));
    assert!(provider.stray(OURS, 1).expect("a list").is_empty());
    assert!(provider.create(OURS, 2).is_ok(), "the epoch has its key");
}

#[test]
fn credentials_a_region_and_an_authority_that_do_not_fit_are_said() {
    let scene = Scene::new();
    let name = scene.provider().create(OURS, 1).expect("a key");
    let file = &scene.place.credentials;
    write(file, &CREDENTIALS.replace("AKIATEST", "AKIASTRANGE"));
    let provider = scene.provider();
    assert_eq!(provider.state(&name), Err(DOWN.clone()));
    write(file, CREDENTIALS);
    assert_eq!(provider.state(&name), Ok(KeyState::Usable), "read anew");
    write(file, "AKIATEST");
    let refused = provider.state(&name).expect_err("no JSON").to_string();
    assert!(refused.contains("export-credentials"), "{refused}");
    assert!(!refused.contains("AKIATEST"), "{refused}");
    write(file, CREDENTIALS);
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("0644");
    let refused = provider.state(&name).expect_err("readable").to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    write(file, CREDENTIALS);

    // In another region it would not be found, and so be taken for gone.
    let elsewhere = Place {
        region: "eu-west-1".to_owned(),
        ..scene.place.clone()
    };
    let elsewhere = aws_kms::at(elsewhere).expect("a provider");
    for asked in [elsewhere.state(&name), elsewhere.destroy(&name)] {
        let refused = asked.expect_err("another region").to_string();
        assert!(refused.contains("eu-west-1"), "{refused}");
    }

    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let other = scene.dir.path().join("other.pem");
    write(&other, &stranger.cert.pem());
    let trusting = |ca: &Path| {
        aws_kms::at(Place {
            ca: Some(ca.to_path_buf()),
            ..scene.place.clone()
        })
    };
    assert_eq!(trusting(&other).expect("one").state(&name), Err(DOWN));
    write(&other, "no certificate");
    assert!(trusting(&other).is_err());
}

#[test]
fn an_epoch_does_not_open_over_a_service_that_opens_something_else() {
    let scene = Scene::new();
    scene.service.becomes(Mood::OpensAnother);
    let providers = Providers::with_retiring(vec![(scene.provider(), false)]).expect("one");
    let master = MasterKey::generate().expect("a key");
    let made = providers.wrap_new(1, &place(OURS, 1), &master);
    assert_eq!(made, Err(DOWN));
    let keys = scene.service.keys();
    assert!(keys.iter().all(|(_, ends)| *ends), "one was left: {keys:?}");
}

/// moto goes on decrypting with keys that are to be destroyed, so that only
/// the wire is held against it.
#[test]
fn moto_understands_every_call() {
    let Some(moto) = moto::Moto::start() else {
        return eprintln!("did not run: OUBLIETTE_TEST_PYTHON names no Python with moto");
    };
    let provider = aws_kms::at(place_at(&moto.address, moto.dir.path())).expect("a provider");
    let name = provider.create(OURS, 1).expect("a key");
    let second = provider.create(OURS, 2).expect("a key");
    assert!(provider.create(OURS, 1).is_err(), "a second key");
    let (here, master) = (place(OURS, 1), MasterKey::generate().expect("a key"));
    let wrapped = provider.wrap(&name, &here, &master).expect("wrapped");
    let opened = provider.unwrap(&name, &here, &wrapped).expect("opened");
    assert!(opened.is(&master));
    let elsewhere = provider.unwrap(&name, &place(OURS, 2), &wrapped);
    let refused = elsewhere.err().expect("another context").to_string();
    assert!(refused.contains("does not open"), "{refused}");
    let stray = provider.stray(OURS, 1).expect("a list");
    assert_eq!(stray, std::slice::from_ref(&second));
    for _ in 0..2 {
        let state = provider.destroy(&second).expect("scheduled");
        assert!(matches!(state, KeyState::Scheduled(day) if day.0 >= today() + 7));
    }
    assert!(provider.stray(OURS, 1).expect("a list").is_empty());
    assert_eq!(provider.state(&name), Ok(KeyState::Usable));
    let absent = name.replace("key/", "key/0");
    assert_eq!(provider.state(&absent), Ok(KeyState::Gone));
}

mod moto {
    //! moto's server, over TLS.

    use super::laid_out;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use tempfile::TempDir;

    /// Until it is dropped.
    pub struct Moto {
        /// `https://localhost:PORT`.
        pub address: String,
        /// Where its certificate is, and credentials.
        pub dir: TempDir,
        child: Child,
    }

    impl Moto {
        /// Starts it, where there is a Python that has it.
        pub fn start() -> Option<Self> {
            let python = std::env::var_os("OUBLIETTE_TEST_PYTHON")?;
            let dir = laid_out();
            let mut child = Command::new(python)
                .args(["-m", "moto.server", "-H", "localhost", "-p", "0"])
                .arg("-c")
                .arg(dir.path().join("server.pem"))
                .arg("-k")
                .arg(dir.path().join("server.key"))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a process");
            let said = BufReader::new(child.stderr.take().expect("stderr"));
            let mut lines = said.lines().map_while(Result::ok);
            let address = lines.find_map(|line| {
                let at = line.find("https://localhost:")?;
                Some(line[at..].trim().to_owned())
            });
            let address = address.expect("moto says where it listens");
            // What it says of each call is read away.
            std::thread::spawn(move || lines.for_each(drop));
            Some(Self {
                address,
                dir,
                child,
            })
        }
    }

    impl Drop for Moto {
        fn drop(&mut self) {
            let _killed = self.child.kill();
            let _waited = self.child.wait();
        }
    }
}
