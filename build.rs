//! Compiles `proto/` without protoc: the Rust code, and the descriptors that
//! reflection serves.

use std::{env, error::Error, fs, path::PathBuf};

/// Messages that carry what a customer said: they get no `Debug`.
/// `tests/tidy.rs` holds this list against the `debug_redact` options.
const SECRET: &[&str] = &[
    "Date",
    "Value",
    "FieldValue",
    "RecordMetadata",
    "Record",
    "PutRecordRequest",
    "PutRecordResponse",
    "GetRecordRequest",
    "GetRecordResponse",
    "BatchGetRecordsRequest",
    "BatchGetResult",
    "BatchGetRecordsResponse",
    "StreamRecordsResponse",
    "UpdateRecordRequest",
    "UpdateRecordResponse",
    "DeleteRecordRequest",
    "ListRecordsRequest",
    "ListRecordsResponse",
    "Customer",
    "CreateCustomerRequest",
    "CreateCustomerResponse",
    "GetCustomerRequest",
    "GetCustomerResponse",
    "EraseCustomerRequest",
    "EraseCustomerResponse",
    "EraseCustomersRequest",
    "EraseCustomersResponse",
    "RestrictCustomerRequest",
    "RestrictCustomerResponse",
    "LiftRestrictionRequest",
    "LiftRestrictionResponse",
    "Hold",
    "PlaceHoldRequest",
    "PlaceHoldResponse",
    "ReleaseHoldResponse",
    "ListHoldsRequest",
    "ListHoldsResponse",
    "ApproveRequestRequest",
    "WatchRequestsResponse",
    "Certificate",
    "GetCertificateRequest",
    "GetCertificateResponse",
    "RequestStep",
    "RightsRequest",
    "OpenRequestRequest",
    "DenyRequestRequest",
    "ExtendRequestRequest",
    "OpenRequestResponse",
    "VerifyIdentityResponse",
    "ApproveRequestResponse",
    "DenyRequestResponse",
    "ExtendRequestResponse",
    "RevokeRequestResponse",
    "FulfilRequestResponse",
    "GetRequestResponse",
    "ListRequestsResponse",
    "ExportCustomerRequest",
    "ExportCustomerResponse",
    "RecordConsentRequest",
    "RecordConsentResponse",
    "WithdrawConsentRequest",
    "WithdrawConsentResponse",
    "ObjectRequest",
    "ObjectResponse",
    "AssertBasisRequest",
    "AssertBasisResponse",
    "ImportSignalRequest",
    "ImportedPurpose",
    "ImportSignalResponse",
    "PurposeState",
    "GetConsentStateRequest",
    "GetConsentStateResponse",
    "ListConsentHistoryRequest",
    "ListConsentHistoryResponse",
    "ConsentEvent",
    "GetReceiptRequest",
    "GetReceiptResponse",
    "UnsealRequest",
    "RotateKeysRequest",
    "CompromiseKeysRequest",
    "ListCustomerEntriesRequest",
    "LifecycleEvent",
    "WatchEventsResponse",
    "UnacknowledgedEvent",
    "ListUnacknowledgedEventsResponse",
    "GetRetentionStatusResponse",
    "GetNoticeResponse",
];

/// Messages without secrets that hold one of the above.
const HOLDS_DATE: &[&str] = &[
    "EpochStatus",
    "GenerationCount",
    "RotateKeysResponse",
    "CompromiseKeysResponse",
    "GetKeyStatusResponse",
    "Job",
    "CloseEpochResponse",
    "ControlJobResponse",
    "WatchJobResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files([
            "oubliette/v1/record_service.proto",
            "oubliette/v1/customer_service.proto",
            "oubliette/v1/key_service.proto",
            "oubliette/v1/certificate_service.proto",
            "oubliette/v1/rights_service.proto",
            "oubliette/v1/hold_service.proto",
            "oubliette/v1/consent_service.proto",
            "oubliette/v1/audit_service.proto",
            "oubliette/v1/event_service.proto",
            "oubliette/v1/retention_service.proto",
            "oubliette/v1/review_service.proto",
        ])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let mut config = tonic_prost_build::Config::new();
    config.skip_debug(
        SECRET
            .iter()
            .chain(HOLDS_DATE)
            .map(|name| format!(".oubliette.v1.{name}")),
    );
    tonic_prost_build::configure()
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
