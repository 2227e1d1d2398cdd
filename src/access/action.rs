//! What a caller can ask to do. One action an RPC, and two that stand behind
//! a flag or an answer.

/// An action of the policy's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// RecordService.PutRecord.
    PutRecord,
    /// RecordService.GetRecord.
    GetRecord,
    /// RecordService.BatchGetRecords.
    BatchGetRecords,
    /// RecordService.StreamRecords.
    StreamRecords,
    /// RecordService.UpdateRecord.
    UpdateRecord,
    /// RecordService.DeleteRecord.
    DeleteRecord,
    /// RecordService.ListRecords.
    ListRecords,
    /// CustomerService.CreateCustomer.
    CreateCustomer,
    /// CustomerService.GetCustomer.
    GetCustomer,
    /// CustomerService.EraseCustomer.
    EraseCustomer,
    /// CustomerService.EraseCustomers.
    EraseCustomers,
    /// KeyService.GetKeyStatus.
    GetKeyStatus,
    /// CertificateService.GetCertificate.
    GetCertificate,
    /// RightsService.OpenRequest.
    OpenRequest,
    /// RightsService.VerifyIdentity.
    VerifyIdentity,
    /// RightsService.ApproveRequest.
    ApproveRequest,
    /// RightsService.DenyRequest.
    DenyRequest,
    /// RightsService.ExtendRequest.
    ExtendRequest,
    /// RightsService.RevokeRequest.
    RevokeRequest,
    /// RightsService.FulfilRequest.
    FulfilRequest,
    /// RightsService.GetRequest.
    GetRequest,
    /// RightsService.ListRequests.
    ListRequests,
    /// RightsService.WatchRequests.
    WatchRequests,
    /// RightsService.ExportCustomer.
    ExportCustomer,
    /// CustomerService.RestrictCustomer.
    RestrictCustomer,
    /// CustomerService.LiftRestriction.
    LiftRestriction,
    /// HoldService.PlaceHold.
    PlaceHold,
    /// HoldService.ReleaseHold.
    ReleaseHold,
    /// HoldService.ListHolds.
    ListHolds,
    /// ConsentService.RecordConsent.
    RecordConsent,
    /// ConsentService.WithdrawConsent.
    WithdrawConsent,
    /// ConsentService.Object.
    Object,
    /// ConsentService.AssertBasis.
    AssertBasis,
    /// ConsentService.ImportSignal.
    ImportSignal,
    /// ConsentService.GetConsentState.
    GetConsentState,
    /// ConsentService.ListConsentHistory.
    ListConsentHistory,
    /// ConsentService.GetReceipt.
    GetReceipt,
    /// KeyService.PlanEpochClose.
    PlanEpochClose,
    /// KeyService.CloseEpoch.
    CloseEpoch,
    /// KeyService.ControlJob.
    ControlJob,
    /// KeyService.WatchJob.
    WatchJob,
    /// KeyService.RotateKeys.
    RotateKeys,
    /// KeyService.CompromiseKeys.
    CompromiseKeys,
    /// KeyService.ListApprovals.
    ListApprovals,
    /// KeyService.DecideApproval.
    DecideApproval,
    /// KeyService.Seal.
    Seal,
    /// KeyService.Unseal.
    Unseal,
    /// KeyService.GetSealStatus.
    GetSealStatus,
    /// AuditService.ListEntries.
    ListEntries,
    /// AuditService.ListCustomerEntries.
    ListCustomerEntries,
    /// AuditService.WatchEntries.
    WatchEntries,
    /// AuditService.GetCheckpoint.
    GetCheckpoint,
    /// AuditService.GetEntryProof.
    GetEntryProof,
    /// AuditService.PruneEntries.
    PruneEntries,
    /// EventService.WatchEvents.
    WatchEvents,
    /// EventService.AcknowledgeEvents.
    AcknowledgeEvents,
    /// EventService.ListUnacknowledgedEvents.
    ListUnacknowledgedEvents,
    /// RetentionService.GetRetentionStatus.
    GetRetentionStatus,
    /// ReviewService.GetReview.
    GetReview,
    /// ReviewService.PlanFieldDrop.
    PlanFieldDrop,
    /// ReviewService.GetNotice.
    GetNotice,
    /// ReviewService.GetProcessingRecord.
    GetProcessingRecord,
    /// CreateCustomer with `recreate_erased`.
    RecreateCustomer,
    /// To be told CUSTOMER_ERASED instead of CUSTOMER_NOT_FOUND.
    KnowErased,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 64] = [
        Self::PutRecord,
        Self::GetRecord,
        Self::BatchGetRecords,
        Self::StreamRecords,
        Self::UpdateRecord,
        Self::DeleteRecord,
        Self::ListRecords,
        Self::CreateCustomer,
        Self::GetCustomer,
        Self::EraseCustomer,
        Self::EraseCustomers,
        Self::GetKeyStatus,
        Self::GetCertificate,
        Self::OpenRequest,
        Self::VerifyIdentity,
        Self::ApproveRequest,
        Self::DenyRequest,
        Self::ExtendRequest,
        Self::RevokeRequest,
        Self::FulfilRequest,
        Self::GetRequest,
        Self::ListRequests,
        Self::WatchRequests,
        Self::ExportCustomer,
        Self::RestrictCustomer,
        Self::LiftRestriction,
        Self::PlaceHold,
        Self::ReleaseHold,
        Self::ListHolds,
        Self::RecordConsent,
        Self::WithdrawConsent,
        Self::Object,
        Self::AssertBasis,
        Self::ImportSignal,
        Self::GetConsentState,
        Self::ListConsentHistory,
        Self::GetReceipt,
        Self::PlanEpochClose,
        Self::CloseEpoch,
        Self::ControlJob,
        Self::WatchJob,
        Self::RotateKeys,
        Self::CompromiseKeys,
        Self::ListApprovals,
        Self::DecideApproval,
        Self::Seal,
        Self::Unseal,
        Self::GetSealStatus,
        Self::ListEntries,
        Self::ListCustomerEntries,
        Self::WatchEntries,
        Self::GetCheckpoint,
        Self::GetEntryProof,
        Self::PruneEntries,
        Self::WatchEvents,
        Self::AcknowledgeEvents,
        Self::ListUnacknowledgedEvents,
        Self::GetRetentionStatus,
        Self::GetReview,
        Self::PlanFieldDrop,
        Self::GetNotice,
        Self::GetProcessingRecord,
        Self::RecreateCustomer,
        Self::KnowErased,
    ];

    /// Its name in policies and in audit entries.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutRecord => "put_record",
            Self::GetRecord => "get_record",
            Self::BatchGetRecords => "batch_get_records",
            Self::StreamRecords => "stream_records",
            Self::UpdateRecord => "update_record",
            Self::DeleteRecord => "delete_record",
            Self::ListRecords => "list_records",
            Self::CreateCustomer => "create_customer",
            Self::GetCustomer => "get_customer",
            Self::EraseCustomer => "erase_customer",
            Self::EraseCustomers => "erase_customers",
            Self::GetKeyStatus => "get_key_status",
            Self::GetCertificate => "get_certificate",
            Self::OpenRequest => "open_request",
            Self::VerifyIdentity => "verify_identity",
            Self::ApproveRequest => "approve_request",
            Self::DenyRequest => "deny_request",
            Self::ExtendRequest => "extend_request",
            Self::RevokeRequest => "revoke_request",
            Self::FulfilRequest => "fulfil_request",
            Self::GetRequest => "get_request",
            Self::ListRequests => "list_requests",
            Self::WatchRequests => "watch_requests",
            Self::ExportCustomer => "export_customer",
            Self::RestrictCustomer => "restrict_customer",
            Self::LiftRestriction => "lift_restriction",
            Self::PlaceHold => "place_hold",
            Self::ReleaseHold => "release_hold",
            Self::ListHolds => "list_holds",
            Self::RecordConsent => "record_consent",
            Self::WithdrawConsent => "withdraw_consent",
            Self::Object => "object",
            Self::AssertBasis => "assert_basis",
            Self::ImportSignal => "import_signal",
            Self::GetConsentState => "get_consent_state",
            Self::ListConsentHistory => "list_consent_history",
            Self::GetReceipt => "get_receipt",
            Self::PlanEpochClose => "plan_epoch_close",
            Self::CloseEpoch => "close_epoch",
            Self::ControlJob => "control_job",
            Self::WatchJob => "watch_job",
            Self::RotateKeys => "rotate_keys",
            Self::CompromiseKeys => "compromise_keys",
            Self::ListApprovals => "list_approvals",
            Self::DecideApproval => "decide_approval",
            Self::Seal => "seal",
            Self::Unseal => "unseal",
            Self::GetSealStatus => "get_seal_status",
            Self::ListEntries => "list_entries",
            Self::ListCustomerEntries => "list_customer_entries",
            Self::WatchEntries => "watch_entries",
            Self::GetCheckpoint => "get_checkpoint",
            Self::GetEntryProof => "get_entry_proof",
            Self::PruneEntries => "prune_entries",
            Self::WatchEvents => "watch_events",
            Self::AcknowledgeEvents => "acknowledge_events",
            Self::ListUnacknowledgedEvents => "list_unacknowledged_events",
            Self::GetRetentionStatus => "get_retention_status",
            Self::GetReview => "get_review",
            Self::PlanFieldDrop => "plan_field_drop",
            Self::GetNotice => "get_notice",
            Self::GetProcessingRecord => "get_processing_record",
            Self::RecreateCustomer => "recreate_customer",
            Self::KnowErased => "know_erased",
        }
    }

    /// Whether it is about records of one type; the others are about the vault.
    pub fn is_about_records(self) -> bool {
        self.needs_purpose()
            || matches!(
                self,
                Self::PutRecord | Self::UpdateRecord | Self::DeleteRecord
            )
    }

    /// Whether it puts on record what a customer says of a purpose.
    pub fn is_said_of_a_purpose(self) -> bool {
        matches!(
            self,
            Self::RecordConsent | Self::WithdrawConsent | Self::Object | Self::AssertBasis
        )
    }

    /// Whether it opens something, so that it needs a purpose.
    pub fn needs_purpose(self) -> bool {
        matches!(
            self,
            Self::GetRecord
                | Self::BatchGetRecords
                | Self::StreamRecords
                | Self::ListRecords
                | Self::ExportCustomer
        )
    }
}
