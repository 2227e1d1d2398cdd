//! Customers and what became of their erasure, as messages.

use super::certificates::certificate;
use super::value::date;
use crate::pb;
use crate::vault::{CertificateView, CustomerView, Level, Waiting};

/// What is known of a customer.
pub fn customer(name: String, view: &CustomerView) -> pb::Customer {
    match view {
        CustomerView::Active {
            generation,
            records,
            created,
            restricted,
            held,
            waiting,
            in_part,
        } => pb::Customer {
            name,
            state: pb::CustomerState::Active.into(),
            erasure_level: match waiting {
                None => pb::ErasureLevel::Unspecified.into(),
                Some(Waiting::Restricted) => pb::ErasureLevel::Restricted.into(),
                Some(Waiting::Grace) => pb::ErasureLevel::Grace.into(),
            },
            key_generation: generation.cast_signed(),
            record_count: records.cast_signed(),
            create_date: Some(date(*created)),
            purge_total: 0,
            purge_done: 0,
            restricted: *restricted,
            held: *held,
            erased_in_part: in_part.is_some(),
        },
        CustomerView::Erased { level, purge, .. } => pb::Customer {
            name,
            state: pb::CustomerState::Erased.into(),
            erasure_level: match level {
                Level::Shredded => pb::ErasureLevel::Shredded.into(),
                Level::Purged => pb::ErasureLevel::Purged.into(),
            },
            key_generation: 0,
            record_count: 0,
            create_date: None,
            purge_total: purge.total.cast_signed(),
            purge_done: purge.done.cast_signed(),
            restricted: false,
            held: false,
            erased_in_part: false,
        },
    }
}

/// What became of an erasure.
pub fn erased(
    name: String,
    view: &CustomerView,
    made: Option<&CertificateView>,
) -> pb::EraseCustomerResponse {
    let (epoch, in_part) = match view {
        CustomerView::Erased { epoch, .. } => (i64::from(*epoch), false),
        CustomerView::Active { in_part, .. } => (in_part.map_or(0, i64::from), in_part.is_some()),
    };
    pb::EraseCustomerResponse {
        customer: Some(customer(name, view)),
        epoch,
        certificate: made.map(certificate),
        in_part,
    }
}
