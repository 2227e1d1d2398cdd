//! The suite.

use oubliette::crypto::{Deployment, MasterKey, WrapContext};
use oubliette::keys::{KeyProvider, KeyState};
use std::sync::Arc;

/// A deployment of the tests.
pub const OURS: Deployment = Deployment([7; 16]);
const OTHERS: Deployment = Deployment([8; 16]);

/// Where an epoch's master key is wrapped.
pub fn place(deployment: Deployment, epoch: u32) -> WrapContext {
    WrapContext {
        deployment,
        tenant: 0,
        number: 0,
        generation: 0,
        page: 0,
        page_generation: 0,
        epoch,
    }
}

/// Holds a provider that has no keys yet to the suite. `again` makes it anew,
/// as a restart does. `shared`: several vaults may keep their keys in it.
pub fn conforms(again: impl Fn() -> Arc<dyn KeyProvider>, shared: bool) {
    opens_only_in_place(&*again(), &*again());
    makes_a_key_once(&*again());
    finds_what_is_stray(&*again(), shared);
    wraps_nothing_without_a_key(&*again());
    destroys_for_good(&*again(), &*again());
}

fn opens_only_in_place(one: &dyn KeyProvider, restarted: &dyn KeyProvider) {
    let name = one.create(OURS, 1).expect("a key");
    let master = MasterKey::generate().expect("a master key");
    let here = place(OURS, 1);
    let wrapped = one.wrap(&name, &here, &master).expect("wrapped");
    let opened = restarted.unwrap(&name, &here, &wrapped).expect("opened");
    assert!(opened.is(&master), "another key came back");
    for elsewhere in [place(OURS, 2), place(OTHERS, 1)] {
        let refused = one.unwrap(&name, &elsewhere, &wrapped);
        assert!(refused.is_err(), "opened where it was not put");
    }
    for at in 0..wrapped.len() {
        let mut bent = wrapped.clone();
        bent[at] ^= 1;
        assert!(one.unwrap(&name, &here, &bent).is_err(), "byte {at} bent");
        let cut = one.unwrap(&name, &here, &wrapped[..at]);
        assert!(cut.is_err(), "cut at {at}");
    }
    let twice = one.wrap(&name, &here, &master).expect("wrapped again");
    assert_ne!(
        twice, wrapped,
        "the same bytes twice: a nonce was used twice"
    );
    assert!(one.unwrap(&name, &here, &wrapped).is_ok());
}

fn makes_a_key_once(one: &dyn KeyProvider) {
    let refused = one.create(OURS, 1).expect_err("a second key of the epoch");
    let text = refused.to_string();
    assert!(text.contains("00000001"), "names the key: {text}");
}

fn finds_what_is_stray(one: &dyn KeyProvider, shared: bool) {
    let second = one.create(OURS, 2).expect("a key");
    assert_eq!(
        one.stray(OURS, 1).expect("a list"),
        std::slice::from_ref(&second)
    );
    assert!(one.stray(OURS, 2).expect("a list").is_empty());
    if shared {
        let foreign = one.create(OTHERS, 9).expect("another vault's key");
        assert!(one.stray(OURS, 2).expect("a list").is_empty());
        assert_eq!(
            one.stray(OTHERS, 8).expect("a list"),
            std::slice::from_ref(&foreign)
        );
        assert_ne!(one.destroy(&foreign).expect("destroyed"), KeyState::Usable);
    }
    assert_ne!(one.destroy(&second).expect("destroyed"), KeyState::Usable);
}

fn wraps_nothing_without_a_key(one: &dyn KeyProvider) {
    let kept = one.create(OURS, 3).expect("a key");
    let absent = another(&kept);
    let master = MasterKey::generate().expect("a master key");
    assert!(one.wrap(&absent, &place(OURS, 4), &master).is_err());
    assert_eq!(
        one.state(&absent),
        Ok(KeyState::Gone),
        "wrapping made a key"
    );
    assert_eq!(one.state(&kept), Ok(KeyState::Usable));
}

/// A name like that one, which nothing has.
fn another(name: &str) -> String {
    let at = name.rfind(|c: char| c.is_ascii_digit()).expect("a digit");
    let digit = if name.as_bytes()[at] == b'7' {
        "9"
    } else {
        "7"
    };
    let mut name = name.to_owned();
    name.replace_range(at..=at, digit);
    name
}

fn destroys_for_good(one: &dyn KeyProvider, restarted: &dyn KeyProvider) {
    let (name, here) = (one.create(OURS, 5).expect("a key"), place(OURS, 5));
    let other = one.create(OURS, 6).expect("another key");
    let master = MasterKey::generate().expect("a master key");
    let wrapped = one.wrap(&name, &here, &master).expect("wrapped");
    let kept = one.wrap(&other, &place(OURS, 6), &master).expect("wrapped");
    assert_eq!(one.state(&name), Ok(KeyState::Usable));
    for _ in 0..2 {
        let state = one.destroy(&name).expect("destroyed, again too");
        assert_ne!(state, KeyState::Usable);
        for provider in [one, restarted] {
            assert_eq!(provider.state(&name), Ok(state));
            assert!(provider.unwrap(&name, &here, &wrapped).is_err(), "it opens");
            assert!(provider.wrap(&name, &here, &master).is_err(), "it wraps");
        }
    }
    let opened = one.unwrap(&other, &place(OURS, 6), &kept);
    assert!(
        opened.is_ok_and(|key| key.is(&master)),
        "its neighbour suffered"
    );
}
