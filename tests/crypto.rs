//! Sealing, from the outside: what opens, and that nothing opens anywhere but
//! where it was put.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use oubliette::crypto::context::RecordContext;
use oubliette::crypto::manifest::{manifest, verify_manifest};
use oubliette::crypto::record::{open_group, seal_group};
use oubliette::crypto::{
    Deployment, DoesNotOpen, FieldKey, FieldKeys, GroupRef, IdentityKey, KeyKind, ManifestContext,
    MasterKey, PageKey, Prk, RecordBody, SealedGroup, WrapContext, message, random_bytes,
    random_key,
};
use oubliette::id::FieldNumber;
use proptest::prelude::*;

const DEPLOYMENT: Deployment = Deployment([9; 16]);

fn place() -> RecordContext {
    RecordContext {
        deployment: DEPLOYMENT,
        tenant: 1,
        customer: 2,
        generation: 3,
        record_type: 4,
        record: 5,
        schema_version: 6,
        revision: 7,
    }
}

fn manifest_place(place: &RecordContext) -> ManifestContext {
    ManifestContext {
        deployment: place.deployment,
        tenant: place.tenant,
        customer: place.customer,
        record_type: place.record_type,
        record: place.record,
        revision: place.revision,
    }
}

fn field_keys() -> FieldKeys {
    FieldKey::generate().unwrap().subkeys()
}

fn seal(keys: &FieldKeys, place: &RecordContext, fields: &[(u16, &[u8])]) -> SealedGroup {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (FieldNumber(*n), *v)).collect();
    seal_group(&keys.record, place, &fields).unwrap()
}

/// Reads a stored record as the vault does: body, manifest, every field.
fn read(
    keys: &FieldKeys,
    place: &RecordContext,
    stored: &[u8],
    stored_manifest: &[u8],
) -> Result<Values, DoesNotOpen> {
    let body = RecordBody::parse(stored)?;
    verify_manifest(
        &keys.manifest,
        &manifest_place(place),
        &body,
        stored_manifest,
    )?;
    let mut values = Vec::new();
    for group in body.groups() {
        let opener = open_group(&keys.record, &place.of(group), group)?;
        for field in &group.fields {
            let value = opener.open(field.number, field.ciphertext)?;
            values.push((field.number.0, value.expose().to_vec()));
        }
    }
    values.sort();
    Ok(values)
}

/// Values by rising field number.
type Values = Vec<(u16, Vec<u8>)>;

/// A record of two groups, its manifest and its values.
fn stored_record(keys: &FieldKeys) -> (Vec<u8>, [u8; 32], Values) {
    let earlier = RecordContext {
        revision: 6,
        ..place()
    };
    let first = seal(
        keys,
        &earlier,
        &[(1, b"ada"), (16_383, b""), (300, &[7; 200])],
    );
    let second = seal(keys, &place(), &[(2, b"lovelace")]);
    let mut body = RecordBody::empty();
    body.push(first.as_ref()).unwrap();
    body.push(second.as_ref()).unwrap();
    let mac = manifest(&keys.manifest, &manifest_place(&place()), &body);
    let values = vec![
        (1, b"ada".to_vec()),
        (2, b"lovelace".to_vec()),
        (300, vec![7; 200]),
        (16_383, vec![]),
    ];
    (body.encode().unwrap(), mac, values)
}

/// Every place that differs from `place` in one number.
fn elsewhere(place: &RecordContext, step: u16) -> Vec<RecordContext> {
    let (wide, middle) = (u64::from(step), u32::from(step));
    let mut deployment = place.deployment;
    deployment.0[usize::from(step % 16)] ^= 1;
    vec![
        RecordContext {
            deployment,
            ..*place
        },
        RecordContext {
            tenant: place.tenant ^ middle,
            ..*place
        },
        RecordContext {
            customer: place.customer ^ wide,
            ..*place
        },
        RecordContext {
            generation: place.generation ^ middle,
            ..*place
        },
        RecordContext {
            record_type: place.record_type ^ step,
            ..*place
        },
        RecordContext {
            record: place.record ^ wide,
            ..*place
        },
        RecordContext {
            schema_version: place.schema_version ^ middle,
            ..*place
        },
        RecordContext {
            revision: place.revision ^ wide,
            ..*place
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_message_opens_to_what_was_sealed(
        context in prop::collection::vec(any::<u8>(), 0..200),
        length in prop_oneof![0_usize..100, 16_300_usize..16_500, 32_700_usize..32_800, 0_usize..50_000],
    ) {
        let key = random_key().unwrap();
        let plaintext: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
        let stored = message::seal(&key, &context, &plaintext).unwrap();
        let opened = message::open(&key, &context, &stored).unwrap();
        prop_assert_eq!(opened.expose(), plaintext);
        prop_assert_eq!(stored.len(), 58 + length + 16 * (length / 16_384 + 1));
    }

    #[test]
    fn a_message_with_any_bit_flipped_does_not_open(
        length in 0_usize..300, at in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let key = random_key().unwrap();
        let mut stored = message::seal(&key, b"here", &vec![1; length]).unwrap();
        stored[at.index(length + 74)] ^= 1_u8 << bit;
        prop_assert_eq!(message::open(&key, b"here", &stored).err(), Some(DoesNotOpen));
    }

    #[test]
    fn a_message_that_is_cut_or_grown_does_not_open(
        length in prop_oneof![0_usize..50, 16_370_usize..16_400], cut in any::<prop::sample::Index>(),
    ) {
        let key = random_key().unwrap();
        let mut stored = message::seal(&key, b"here", &vec![1; length]).unwrap();
        let shorter = &stored[..cut.index(stored.len())];
        prop_assert_eq!(message::open(&key, b"here", shorter).err(), Some(DoesNotOpen));
        stored.push(0);
        prop_assert_eq!(message::open(&key, b"here", &stored).err(), Some(DoesNotOpen));
    }

    #[test]
    fn a_group_does_not_open_in_any_other_context(step in 1..u16::MAX) {
        let keys = field_keys();
        let group = seal(&keys, &place(), &[(1, b"ada")]);
        prop_assert!(open_group(&keys.record, &place(), &group.as_ref()).is_ok());
        for other in elsewhere(&place(), step) {
            // The group's own header says the other place too.
            let header = GroupRef {
                generation: other.generation,
                schema_version: other.schema_version,
                revision: other.revision,
                ..group.as_ref()
            };
            prop_assert_eq!(open_group(&keys.record, &other, &header).err(), Some(DoesNotOpen));
            // The header that it was sealed with, at the other place.
            let opened = open_group(&keys.record, &other, &group.as_ref());
            prop_assert_eq!(opened.err(), Some(DoesNotOpen));
            // The place that it was sealed for, with another header.
            if place().of(&header) != place() {
                let opened = open_group(&keys.record, &place(), &header);
                prop_assert_eq!(opened.err(), Some(DoesNotOpen));
            }
        }
    }

    #[test]
    fn a_stored_record_with_any_bit_flipped_is_refused(
        at in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let keys = field_keys();
        let (mut stored, mut mac, values) = stored_record(&keys);
        prop_assert_eq!(read(&keys, &place(), &stored, &mac), Ok(values));
        let at = at.index(stored.len() + mac.len());
        if let Some(byte) = stored.get_mut(at) {
            *byte ^= 1_u8 << bit;
        } else {
            mac[at - stored.len()] ^= 1_u8 << bit;
        }
        prop_assert_eq!(read(&keys, &place(), &stored, &mac), Err(DoesNotOpen));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused_and_there_is_one_form_for_each_body(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in 0_usize..40,
    ) {
        let (mut stored, _, _) = stored_record(&field_keys());
        for (at, byte) in changes {
            let at = at.index(stored.len());
            stored[at] = byte;
        }
        stored.truncate(stored.len() - cut);
        let random = [&[1, 1, 0], &bytes[..]].concat();
        for input in [&bytes, &stored, &random] {
            if let Ok(body) = RecordBody::parse(input) {
                prop_assert_eq!(&body.encode().unwrap(), input);
            }
        }
    }
}

#[test]
fn a_body_that_breaks_a_rule_is_refused() {
    let keys = field_keys();
    let at = |revision| RecordContext {
        revision,
        ..place()
    };
    // Put together by hand: the library makes no such body.
    let encode = |groups: &[GroupRef]| {
        let count = u16::try_from(groups.len()).unwrap().to_be_bytes();
        let groups: Vec<u8> = groups.iter().flat_map(group_bytes).collect();
        [&[1, 1], &count[..], &groups].concat()
    };
    let one = seal(&keys, &at(1), &[(1, b"a"), (2, b"b")]);
    let two = seal(&keys, &at(2), &[(2, b"c")]);
    let three = seal(&keys, &at(3), &[(3, b"d")]);
    let refused = |bytes: &[u8]| RecordBody::parse(bytes).is_err();

    assert!(!refused(&encode(&[one.as_ref(), three.as_ref()])));
    assert!(refused(&encode(&[three.as_ref(), one.as_ref()])), "falling");
    assert!(refused(&encode(&[one.as_ref(), two.as_ref()])), "twice");
    let mut backwards = one.as_ref();
    backwards.fields.reverse();
    assert!(refused(&encode(&[backwards])), "field numbers fall");
    let mut bare = one.as_ref();
    bare.fields.clear();
    assert!(refused(&encode(&[bare])), "empty group");
    for number in [0, 16_384] {
        let mut wrong = three.as_ref();
        wrong.fields[0].number = FieldNumber(number);
        assert!(refused(&encode(&[wrong])), "number {number}");
    }
    let mut trailing = encode(&[one.as_ref()]);
    trailing.push(0);
    assert!(refused(&trailing), "trailing");
    for head in [[2, 1], [1, 2], [0, 0]] {
        let mut other = encode(&[one.as_ref()]);
        other[..2].copy_from_slice(&head);
        assert!(refused(&other), "version and suite {head:?}");
    }
    assert!(!refused(&[1, 1, 0, 0]), "no fields");
    assert!(refused(&[1, 1, 0xff, 0xff]), "a count past its limit");
}

fn group_bytes(group: &GroupRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(group.generation.to_be_bytes());
    bytes.extend(group.schema_version.to_be_bytes());
    bytes.extend(group.revision.to_be_bytes());
    bytes.extend(group.salt);
    bytes.extend(group.commitment);
    bytes.extend(u16::try_from(group.fields.len()).unwrap().to_be_bytes());
    for field in &group.fields {
        bytes.extend(field.number.0.to_be_bytes());
        bytes.extend(u32::try_from(field.ciphertext.len()).unwrap().to_be_bytes());
        bytes.extend(field.ciphertext);
    }
    bytes
}

#[test]
fn the_manifest_sees_a_field_removed_added_or_put_back() {
    let keys = field_keys();
    let (stored, mac, _) = stored_record(&keys);
    let check = |body: &RecordBody, place: &ManifestContext| {
        verify_manifest(&keys.manifest, place, body, &mac)
    };
    let here = manifest_place(&place());
    let parse = || RecordBody::parse(&stored).unwrap();
    assert_eq!(check(&parse(), &here), Ok(()));

    let removed = parse().without(&[FieldNumber(300)]);
    assert_eq!(check(&removed, &here), Err(DoesNotOpen));
    let newer = seal(
        &keys,
        &RecordContext {
            revision: 8,
            ..place()
        },
        &[(9, b"new")],
    );
    let mut added = parse();
    added.push(newer.as_ref()).unwrap();
    assert_eq!(check(&added, &here), Err(DoesNotOpen));
    let before = seal(&keys, &place(), &[(2, b"byron")]);
    let mut put_back = parse().without(&[FieldNumber(2)]);
    put_back.push(before.as_ref()).unwrap();
    assert_eq!(check(&put_back, &here), Err(DoesNotOpen));

    let elsewhere = [
        ManifestContext {
            deployment: Deployment([1; 16]),
            ..here
        },
        ManifestContext { tenant: 9, ..here },
        ManifestContext {
            customer: 9,
            ..here
        },
        ManifestContext {
            record_type: 9,
            ..here
        },
        ManifestContext { record: 9, ..here },
        ManifestContext {
            revision: 9,
            ..here
        },
    ];
    for other in elsewhere {
        assert_eq!(check(&parse(), &other), Err(DoesNotOpen), "{other:?}");
    }
}

/// A group as it is stored.
struct Stored {
    keys: usize,
    place: RecordContext,
    group: SealedGroup,
}

/// Groups of three equal fields. Customers 0, 2 and 4 share a key and have
/// numbers of their own, 0 and 1 share a number and have keys of their own: the
/// context alone, and the key alone, must stop a swap.
fn stored_groups(keys: &[FieldKeys]) -> Vec<Stored> {
    let mut all = Vec::new();
    for (number, own) in keys.iter().enumerate() {
        for shape in 0..64_u32 {
            let bit = |n: u32| 1 + (shape >> n & 1);
            let place = RecordContext {
                deployment: DEPLOYMENT,
                tenant: bit(0),
                customer: u64::try_from(number / 2).unwrap(),
                generation: bit(1),
                record_type: u16::try_from(bit(2)).unwrap(),
                record: u64::from(bit(3)),
                schema_version: bit(4),
                revision: u64::from(bit(5)),
            };
            let group = seal(own, &place, &[(1, b"same"), (2, b"same"), (3, b"same")]);
            let keys = number;
            all.push(Stored { keys, place, group });
        }
    }
    all
}

#[test]
fn ten_thousand_random_swaps_are_all_refused_with_one_same_error() {
    let shared = FieldKey::generate().unwrap();
    let keys: Vec<FieldKeys> = (0..6)
        .map(|n| {
            if n % 2 == 0 {
                shared.subkeys()
            } else {
                field_keys()
            }
        })
        .collect();
    let stored = stored_groups(&keys);
    let open = |at: &Stored, group: &GroupRef, number: FieldNumber, ciphertext: &[u8]| {
        let opener = open_group(&keys[at.keys].record, &at.place, group)?;
        opener.open(number, ciphertext)
    };
    for here in &stored {
        for field in &here.group.fields {
            let opened = open(here, &here.group.as_ref(), field.number, &field.ciphertext);
            assert_eq!(opened.unwrap().expose(), b"same");
        }
    }
    let random = |below: usize| {
        let drawn = u64::from_le_bytes(random_bytes().unwrap());
        usize::try_from(drawn % u64::try_from(below).unwrap()).unwrap()
    };
    let mut swaps = 0;
    while swaps < 10_000 {
        let (from, from_field) = (random(stored.len()), random(3));
        // Every fourth swap stays within its group.
        let to = if swaps % 4 == 0 {
            from
        } else {
            random(stored.len())
        };
        let to_field = random(3);
        if (from, from_field) == (to, to_field) {
            continue;
        }
        swaps += 1;
        let (here, there) = (&stored[to], &stored[from]);
        let number = here.group.fields[to_field].number;
        let moved = &there.group.fields[from_field].ciphertext;
        let opened = open(here, &here.group.as_ref(), number, moved);
        assert_eq!(opened.err(), Some(DoesNotOpen), "the ciphertext alone");
        if from == to {
            continue;
        }
        let opened = open(here, &there.group.as_ref(), number, moved);
        assert_eq!(opened.err(), Some(DoesNotOpen), "the group with its header");
        let relabelled = GroupRef {
            generation: here.place.generation,
            schema_version: here.place.schema_version,
            revision: here.place.revision,
            ..there.group.as_ref()
        };
        let opened = open(here, &relabelled, number, moved);
        assert_eq!(
            opened.err(),
            Some(DoesNotOpen),
            "the group under this header"
        );
    }
}

fn wrap_place() -> WrapContext {
    WrapContext {
        deployment: DEPLOYMENT,
        tenant: 1,
        number: 2,
        generation: 3,
        page: 4,
        page_generation: 5,
        epoch: 6,
    }
}

#[test]
fn a_key_unwraps_as_itself_and_nowhere_else() {
    let provider = Prk::new(&random_key().unwrap());
    let master = MasterKey::generate().unwrap();
    let here = wrap_place();
    let stored = master.wrap_under(&provider, &here).unwrap();
    let master_again = MasterKey::unwrap_from(&provider, &here, &stored).unwrap();

    let page = PageKey::generate().unwrap();
    let stored = page.wrap_under(&master, &here).unwrap();
    let page_again = PageKey::unwrap_from(&master_again, &here, &stored).unwrap();

    let field = FieldKey::generate().unwrap();
    let wrapped = field.wrap_under(&page, &here).unwrap();
    assert_eq!(wrapped.len(), 106);
    let field_again = FieldKey::unwrap_from(&page_again, &here, &wrapped).unwrap();
    let group = seal(&field.subkeys(), &place(), &[(1, b"ada")]);
    assert!(open_group(&field_again.subkeys().record, &place(), &group.as_ref()).is_ok());

    // The same bytes, the same parent, the same place: another kind of key.
    assert_eq!(
        IdentityKey::unwrap_from(&page, &here, &wrapped).err(),
        Some(DoesNotOpen)
    );
    let other_page = PageKey::generate().unwrap();
    assert_eq!(
        FieldKey::unwrap_from(&other_page, &here, &wrapped).err(),
        Some(DoesNotOpen)
    );
    let elsewhere = [
        WrapContext {
            deployment: Deployment([1; 16]),
            ..here
        },
        WrapContext { tenant: 9, ..here },
        WrapContext { number: 9, ..here },
        WrapContext {
            generation: 9,
            ..here
        },
        WrapContext { page: 9, ..here },
        WrapContext {
            page_generation: 9,
            ..here
        },
        WrapContext { epoch: 9, ..here },
    ];
    for other in elsewhere {
        let unwrapped = FieldKey::unwrap_from(&page, &other, &wrapped);
        assert_eq!(unwrapped.err(), Some(DoesNotOpen), "{other:?}");
    }
}

#[test]
fn a_wrapped_value_that_is_no_key_is_not_taken_for_one() {
    let provider = random_key().unwrap();
    let context = wrap_place().bytes(KeyKind::Master);
    for length in [0, 31, 33] {
        let stored = message::seal(&provider, &context, &vec![1; length]).unwrap();
        let unwrapped = MasterKey::unwrap_from(&Prk::new(&provider), &wrap_place(), &stored);
        assert_eq!(unwrapped.err(), Some(DoesNotOpen));
    }
}
