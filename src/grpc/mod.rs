//! The wire, thin: messages become words of the house and back. Every call
//! passes [`guard`], which knows who is calling, sheds what is too much, and
//! writes down whatever no use case wrote down itself.

mod asked;
mod audit;
mod bulk;
mod call;
mod certificates;
mod consent;
mod customers;
mod erased;
mod events;
mod export;
mod guard;
mod holds;
mod job;
mod key_status;
mod keys;
mod metadata;
mod outflow;
mod places;
mod prune;
mod records;
mod retention;
mod review;
mod rights;
mod rights_message;
mod rotate;
mod seal;
mod shed;
mod status;
mod stream;
mod value;
mod watch;

pub use guard::{Guard, Parts};
pub use shed::Shed;
pub use status::{DOMAIN, status};

use crate::limits;
use crate::pb::audit_service_server::AuditServiceServer;
use crate::pb::certificate_service_server::CertificateServiceServer;
use crate::pb::consent_service_server::ConsentServiceServer;
use crate::pb::customer_service_server::CustomerServiceServer;
use crate::pb::event_service_server::EventServiceServer;
use crate::pb::hold_service_server::HoldServiceServer;
use crate::pb::key_service_server::KeyServiceServer;
use crate::pb::record_service_server::RecordServiceServer;
use crate::pb::retention_service_server::RetentionServiceServer;
use crate::pb::review_service_server::ReviewServiceServer;
use crate::pb::rights_service_server::RightsServiceServer;
use crate::vault::Vault;
use places::Places;
use tonic::service::Routes;

/// The services' full names, as health and reflection know them.
pub const SERVICES: [&str; 11] = [
    "oubliette.v1.RecordService",
    "oubliette.v1.CustomerService",
    "oubliette.v1.KeyService",
    "oubliette.v1.CertificateService",
    "oubliette.v1.RightsService",
    "oubliette.v1.HoldService",
    "oubliette.v1.ConsentService",
    "oubliette.v1.AuditService",
    "oubliette.v1.EventService",
    "oubliette.v1.RetentionService",
    "oubliette.v1.ReviewService",
];

/// The services over a vault, message sizes bounded.
pub fn routes(vault: &Vault) -> Routes {
    let records = records::Records {
        vault: vault.clone(),
        streams: Places::default(),
    };
    let customers = customers::Customers {
        vault: vault.clone(),
        streams: Places::default(),
    };
    let keys = keys::Keys {
        vault: vault.clone(),
        watches: Places::default(),
    };
    let certificates = certificates::Certificates {
        vault: vault.clone(),
    };
    let rights = rights::Rights {
        vault: vault.clone(),
        streams: Places::default(),
    };
    let holds = holds::Holds {
        vault: vault.clone(),
    };
    let consent = consent::Consent {
        vault: vault.clone(),
    };
    let audit = audit::Audit {
        vault: vault.clone(),
        streams: Places::default(),
    };
    let review = review::Review {
        vault: vault.clone(),
    };
    let retention = retention::Retention {
        vault: vault.clone(),
    };
    let events = events::Events {
        vault: vault.clone(),
        streams: Places::default(),
    };
    Routes::new(
        RecordServiceServer::new(records)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        CustomerServiceServer::new(customers)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        RightsServiceServer::new(rights)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        HoldServiceServer::new(holds)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        CertificateServiceServer::new(certificates)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        KeyServiceServer::new(keys)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        ConsentServiceServer::new(consent)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        AuditServiceServer::new(audit)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        EventServiceServer::new(events)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        RetentionServiceServer::new(retention)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
    .add_service(
        ReviewServiceServer::new(review)
            .max_decoding_message_size(limits::REQUEST_BYTES)
            .max_encoding_message_size(limits::REPLY_BYTES),
    )
}
