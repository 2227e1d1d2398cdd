//! The Transit provider, over the stand-in.

use crate::suite::{OURS, conforms, place};
use crate::transit_stand_in::{Mood, StandIn, TOKEN};
use oubliette::crypto::MasterKey;
use oubliette::error::{Error, Unavailable};
use oubliette::keys::transit::{Place, TransitProvider};
use oubliette::keys::{KeyProvider, KeyState, Providers};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const DOWN: Error = Error::Unavailable(Unavailable::KeyProvider);

struct Scene {
    engine: StandIn,
    place: Place,
    dir: TempDir,
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("0600");
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        write(&at("server.pem"), &made.cert.pem());
        write(&at("server.key"), &made.signing_key.serialize_pem());
        write(&at("token"), TOKEN);
        let engine = StandIn::start(&at("server.pem"), &at("server.key"));
        let place = Place {
            address: engine.address.clone(),
            mount: "transit".to_owned(),
            namespace: None,
            token: at("token"),
            ca: at("server.pem"),
        };
        Self { engine, place, dir }
    }

    fn provider(&self) -> TransitProvider {
        TransitProvider::new(self.place.clone()).expect("a provider")
    }
}

#[test]
fn the_engine_conforms() {
    let scene = Scene::new();
    conforms(|| Arc::new(scene.provider()), true);
    let asked = scene.engine.asked();
    assert!(asked.iter().all(|path| !path.contains("rewrap")));
}

#[test]
fn an_engine_that_hangs_is_sealed_or_talks_nonsense_is_down_in_time() {
    let scene = Scene::new();
    let provider = scene.provider();
    let name = provider.create(OURS, 1).expect("a key");
    let (here, master) = (place(OURS, 1), MasterKey::generate().expect("a key"));
    let wrapped = provider.wrap(&name, &here, &master).expect("wrapped");
    for mood in [Mood::Sealed, Mood::Nonsense, Mood::Hangs] {
        scene.engine.becomes(mood);
        assert_eq!(provider.state(&name), Err(DOWN.clone()));
        if mood == Mood::Hangs {
            continue;
        }
        let opened = provider.unwrap(&name, &here, &wrapped);
        assert_eq!(opened.err(), Some(DOWN.clone()));
        assert_eq!(provider.wrap(&name, &here, &master), Err(DOWN.clone()));
        assert_eq!(provider.destroy(&name), Err(DOWN.clone()));
    }
    scene.engine.becomes(Mood::Well);
    assert!(
        provider.unwrap(&name, &here, &wrapped).is_ok(),
        "nothing was lost"
    );
}

#[test]
fn a_token_that_is_refused_or_readable_and_a_stranger_s_certificate_are_said() {
    let scene = Scene::new();
    write(&scene.place.token, "s.expired");
    assert_eq!(scene.provider().state("x"), Err(DOWN.clone()));
    write(&scene.place.token, TOKEN);
    assert_eq!(
        scene.provider().state("x"),
        Ok(KeyState::Gone),
        "it is read anew"
    );
    let readable = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&scene.place.token, readable).expect("0644");
    let refused = scene.provider().state("x").expect_err("a readable token");
    assert!(refused.to_string().contains("chmod 600"), "{refused}");

    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    write(&scene.dir.path().join("other.pem"), &stranger.cert.pem());
    write(&scene.place.token, TOKEN);
    let trusts_another = Place {
        ca: scene.dir.path().join("other.pem"),
        ..scene.place.clone()
    };
    let provider = TransitProvider::new(trusts_another).expect("a provider");
    assert_eq!(provider.state("x"), Err(DOWN));
}

/// A provider that gives back another key than it was given would kill the
/// epoch: it is found before anything hangs on it, and leaves no key behind.
#[test]
fn an_epoch_does_not_open_over_a_provider_that_opens_something_else() {
    let scene = Scene::new();
    scene.engine.becomes(Mood::OpensAnother);
    let providers = Providers::new(vec![Box::new(scene.provider())]).expect("one");
    let master = MasterKey::generate().expect("a key");
    let made = providers.wrap_new(1, &place(OURS, 1), &master);
    assert_eq!(made, Err(DOWN));
    assert!(scene.engine.keys().is_empty(), "a key was left behind");
}
