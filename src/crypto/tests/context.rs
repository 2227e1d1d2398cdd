//! Every number of a place is in its context, and no two kinds of place share
//! one.

use super::super::{
    Deployment, KeyKind, Label, ManifestContext, MessageContext, RecordContext, WrapContext,
};
use std::collections::BTreeSet;

const HERE: Deployment = Deployment([7; 16]);
const ELSEWHERE: Deployment = Deployment([8; 16]);

const RECORD: RecordContext = RecordContext {
    deployment: HERE,
    tenant: 1,
    customer: 1,
    generation: 1,
    record_type: 1,
    record: 1,
    schema_version: 1,
    revision: 1,
};
const WRAP: WrapContext = WrapContext {
    deployment: HERE,
    tenant: 1,
    number: 1,
    generation: 1,
    page: 1,
    page_generation: 1,
    epoch: 1,
};
const MESSAGE: MessageContext = MessageContext {
    deployment: HERE,
    label: Label::CustomerId,
    tenant: 1,
    customer: 1,
    number: 1,
    extra: 1,
};
const MANIFEST: ManifestContext = ManifestContext {
    deployment: HERE,
    tenant: 1,
    customer: 1,
    record_type: 1,
    record: 1,
    revision: 1,
};

/// Each constant, and each with one number changed.
#[rustfmt::skip]
fn all() -> Vec<Vec<u8>> {
    vec![
        RECORD.bytes(),
        RecordContext { deployment: ELSEWHERE, ..RECORD }.bytes(),
        RecordContext { tenant: 2, ..RECORD }.bytes(),
        RecordContext { customer: 2, ..RECORD }.bytes(),
        RecordContext { generation: 2, ..RECORD }.bytes(),
        RecordContext { record_type: 2, ..RECORD }.bytes(),
        RecordContext { record: 2, ..RECORD }.bytes(),
        RecordContext { schema_version: 2, ..RECORD }.bytes(),
        RecordContext { revision: 2, ..RECORD }.bytes(),
        WRAP.bytes(KeyKind::Field),
        WRAP.bytes(KeyKind::Identity),
        WrapContext { deployment: ELSEWHERE, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { tenant: 2, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { number: 2, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { generation: 2, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { page: 2, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { page_generation: 2, ..WRAP }.bytes(KeyKind::Field),
        WrapContext { epoch: 2, ..WRAP }.bytes(KeyKind::Field),
        MESSAGE.bytes(),
        MessageContext { deployment: ELSEWHERE, ..MESSAGE }.bytes(),
        MessageContext { label: Label::RecordId, ..MESSAGE }.bytes(),
        MessageContext { tenant: 2, ..MESSAGE }.bytes(),
        MessageContext { customer: 2, ..MESSAGE }.bytes(),
        MessageContext { number: 2, ..MESSAGE }.bytes(),
        MessageContext { extra: 2, ..MESSAGE }.bytes(),
        MANIFEST.bytes(),
        ManifestContext { deployment: ELSEWHERE, ..MANIFEST }.bytes(),
        ManifestContext { tenant: 2, ..MANIFEST }.bytes(),
        ManifestContext { customer: 2, ..MANIFEST }.bytes(),
        ManifestContext { record_type: 2, ..MANIFEST }.bytes(),
        ManifestContext { record: 2, ..MANIFEST }.bytes(),
        ManifestContext { revision: 2, ..MANIFEST }.bytes(),
    ]
}

#[test]
fn every_number_of_a_place_changes_its_context() {
    let contexts = all();
    let distinct: BTreeSet<_> = contexts.iter().collect();
    assert_eq!(distinct.len(), contexts.len());
}

#[test]
fn a_context_is_as_long_as_its_kind_and_starts_with_label_version_suite() {
    for context in all() {
        let length = match context[0] {
            1 => 57,
            2 => 52,
            8 => 49,
            _ => 47,
        };
        assert_eq!(context.len(), length);
        assert_eq!(context[1..3], [1, 1]);
    }
}
