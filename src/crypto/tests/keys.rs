//! The key tree, the MACs and the lookups, against values that Python's hmac
//! module computed.

use super::super::derive::{Prk, expand, expand_keys};
use super::super::label;
use super::super::mac::{MacKey, mac, verify};
use super::super::record::{RecordKey, seal_group_salted};
use super::super::tree::{FieldKey, IdentityKey, IndexPageKey, TenantKey};
use super::super::{
    Deployment, DoesNotOpen, ManifestContext, RecordBody, RecordContext, index, manifest,
};
use crate::id::{CustomerId, FieldNumber, RecordId};
use crate::secret::Key32;

fn one() -> Key32 {
    Key32::take(&mut [1; 32])
}

fn last_of<const N: usize>(info: &str) -> String {
    expand_keys::<N>(&one(), info)
        .last()
        .map(|key| hex::encode(key.expose()))
        .unwrap()
}

#[test]
fn every_branch_of_the_tree_derives_what_it_always_did() {
    let known = [
        (
            last_of::<1>(label::MASTER),
            "8041e81b0c98d10650939c69fd723b8a22badb6dce63c98214ba45bdef715ea1",
        ),
        (
            last_of::<1>(label::PAGE),
            "cb5613fea4c9a8160523376c8438e6e6f4a1c403473291d0af2455eee30f57af",
        ),
        (
            last_of::<2>(label::INDEX_PAGE),
            "2b54b2951a84e5ca4fd936982a8596cf6731fc6799af14073766d16a1ed09a01",
        ),
        (
            last_of::<2>(label::TENANT),
            "da284225a1af9d881754b3ba2d887b555cac7d89211027a7ca8491b19bca2525",
        ),
        (
            last_of::<8>(label::IDENTITY),
            "1524224ad821915b20525cc1323f8aa81060723f3f49508aa2c12218566a40b2",
        ),
        (
            last_of::<2>(label::FIELD),
            "ca557a5f4abf67bc3b8460095219ab491562b0689664277a38bb8b55992cc152",
        ),
    ];
    for (derived, known) in known {
        assert_eq!(derived, known);
    }
}

/// Which key of an expansion goes to which use is part of the format.
#[test]
fn every_use_gets_the_key_at_its_own_place() {
    let same_mac = |key: &MacKey, expected: &Key32| {
        let expected = MacKey::new(Key32::take(&mut expected.expose().clone()));
        assert_eq!(mac(key, &[b"x"]), mac(&expected, &[b"x"]));
    };
    let same = |key: &Key32, expected: &Key32| assert_eq!(key.expose(), expected.expose());

    let expected = expand_keys::<8>(&one(), label::IDENTITY);
    let keys = IdentityKey::from_key(one()).subkeys();
    same_mac(&keys.state, &expected[0]);
    same_mac(&keys.record_locator, &expected[1]);
    same_mac(&keys.audit_tag, &expected[2]);
    same(&keys.audit_detail, &expected[3]);
    same_mac(&keys.history_locator, &expected[4]);
    same_mac(&keys.history_mask, &expected[5]);
    same(&keys.ids, &expected[6]);
    same_mac(&keys.request_digest, &expected[7]);

    let expected = expand_keys::<5>(&one(), label::IDENTITY_2);
    let keys = IdentityKey::from_key(one()).consent();
    same(&keys.events, &expected[0]);
    same_mac(&keys.handles, &expected[1]);
    same_mac(&keys.evidence, &expected[4]);

    let expected = expand_keys::<2>(&one(), label::TENANT);
    let keys = TenantKey::from_key(one()).subkeys();
    same_mac(&keys.index, &expected[0]);
    same(&keys.cursor, &expected[1]);

    let expected = expand_keys::<2>(&one(), label::INDEX_PAGE);
    let keys = IndexPageKey::from_key(one()).subkeys();
    same_mac(&keys.tag, &expected[0]);
    same(&keys.body, &expected[1]);
}

#[test]
fn a_field_key_seals_groups_with_its_first_key_and_macs_with_its_second() {
    let place = RecordContext {
        deployment: Deployment([0; 16]),
        tenant: 1,
        customer: 1,
        generation: 1,
        record_type: 1,
        record: 1,
        schema_version: 1,
        revision: 1,
    };
    let at = ManifestContext {
        deployment: place.deployment,
        tenant: 1,
        customer: 1,
        record_type: 1,
        record: 1,
        revision: 1,
    };
    let [first, second] = expand_keys::<2>(&one(), label::FIELD);
    let keys = FieldKey::from_key(one()).subkeys();
    let fields = [(FieldNumber(1), &b"ada"[..])];
    let seal = |key: &RecordKey| seal_group_salted(key, [2; 24], &place, &fields).unwrap();
    let group = seal(&keys.record);
    assert_eq!(group.commitment, seal(&RecordKey::new(&first)).commitment);

    let mut body = RecordBody::empty();
    body.push(group.as_ref()).unwrap();
    let fields = [&[0, 1], &group.commitment[..]].concat();
    assert_eq!(
        manifest::manifest(&keys.manifest, &at, &body),
        mac(&MacKey::new(second), &[&at.bytes(), &fields])
    );
}

#[test]
fn a_mac_tells_every_list_of_parts_from_every_other() {
    let key = MacKey::new(one());
    let known = "d4a0cfaaf4ce23a8a3e726f0fde7111384b1e7e615189dc630ded763e521277b";
    assert_eq!(hex::encode(mac(&key, &[b"ab", b"c"])), known);
    let known = "2e72eb6626e1d4f7fc6dff111585898f2e37c471a68862f07f10aa2824d57c75";
    assert_eq!(hex::encode(mac(&key, &[])), known);
    let lists: [&[&[u8]]; 6] = [
        &[],
        &[b""],
        &[b"abc"],
        &[b"ab", b"c"],
        &[b"a", b"bc"],
        &[b"abc", b""],
    ];
    for (at, one) in lists.iter().enumerate() {
        for (other_at, other) in lists.iter().enumerate() {
            let same = verify(&key, one, &mac(&key, other)).is_ok();
            assert_eq!(same, at == other_at);
        }
    }
}

#[test]
fn a_mac_that_is_cut_short_is_refused() {
    let key = MacKey::new(one());
    let whole = mac(&key, &[b"x"]);
    for length in [0, 16, 31] {
        assert_eq!(verify(&key, &[b"x"], &whole[..length]), Err(DoesNotOpen));
    }
}

#[test]
fn a_lookup_depends_on_key_type_and_id() {
    let other = MacKey::new(Key32::take(&mut [2; 32]));
    let key = MacKey::new(one());
    let record = |id| RecordId::parse("id", id).unwrap();
    let here = index::record_locator(&key, 1, &record("a"));
    assert_eq!(here, index::record_locator(&key, 1, &record("a")));
    assert_ne!(here, index::record_locator(&key, 2, &record("a")));
    assert_ne!(here, index::record_locator(&key, 1, &record("b")));
    assert_ne!(here, index::record_locator(&other, 1, &record("a")));

    let customer = |id| CustomerId::parse("id", id).unwrap();
    let blind = index::blind(&key, &customer("a"));
    assert_eq!(blind, mac(&key, &[b"a"]));
    assert_ne!(blind, index::blind(&key, &customer("b")));
    assert_eq!(index::tag(&other, &blind)[..], mac(&other, &[&blind])[..16]);
}

#[test]
fn no_label_is_given_twice_and_the_format_page_lists_them_all() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/FORMAT.md");
    let page = std::fs::read_to_string(page).unwrap();
    let infos = [
        label::MASTER,
        label::PAGE,
        label::INDEX_PAGE,
        label::TENANT,
        label::IDENTITY,
        label::IDENTITY_2,
        label::FIELD,
        label::NOTES,
        label::CERTIFICATE,
        label::REQUESTS,
        label::READERS,
        label::EVENTS,
        label::ORIGINS,
    ];
    for (at, info) in infos.iter().enumerate() {
        assert!(!infos[..at].contains(info), "{info}");
        assert!(page.contains(&format!("| `{info}` |")), "{info}");
    }
    let labels = [
        (label::Label::Record, "record"),
        (label::Label::Wrap, "wrap"),
        (label::Label::CustomerId, "customer id"),
        (label::Label::RecordId, "record id"),
        (label::Label::AuditDetail, "audit detail"),
        (label::Label::IndexRow, "index row"),
        (label::Label::Cursor, "cursor"),
        (label::Label::Manifest, "manifest"),
        (label::Label::ConsentEvent, "consent event"),
        (label::Label::Certificate, "certificate"),
        (label::Label::CertificateId, "certificate id"),
        (label::Label::Request, "request"),
        (label::Label::Reader, "reader"),
        (label::Label::LifecycleEvent, "lifecycle event"),
        (label::Label::Origin, "origin"),
    ];
    let rising = labels
        .windows(2)
        .all(|two| (two[0].0 as u8) < two[1].0 as u8);
    assert!(rising, "no number twice");
    for (label, name) in labels {
        let row = format!("| {} | {name} |", label as u8);
        assert!(page.contains(&row), "{row}");
    }
    let kinds = [
        (label::KeyKind::Master, "master key"),
        (label::KeyKind::Page, "page key"),
        (label::KeyKind::IndexPage, "index page key"),
        (label::KeyKind::Tenant, "tenant key"),
        (label::KeyKind::Identity, "identity key"),
        (label::KeyKind::Field, "field key"),
    ];
    for (at, (kind, name)) in kinds.iter().enumerate() {
        assert_eq!(usize::from(*kind as u8), at + 1);
        let row = format!("| {} | {name} |", *kind as u8);
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_pieces_of_an_info_count_as_one_string() {
    let (mut pieces, mut whole) = ([0; 76], [0; 76]);
    expand(&Prk::new(&one()), &[b"a", b"bc"], &mut pieces);
    expand(&Prk::new(&one()), &[b"abc"], &mut whole);
    assert_eq!(pieces, whole);
}
