//! The rules of `examples/crm`, inside the program, so that `init` and
//! `quickstart` work from any directory.

macro_rules! file {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../examples/crm/", $path)),
        )
    };
}

/// Paths under `examples/crm`, and what is there.
pub const CRM: &[(&str, &str)] = &[
    file!("catalog/catalog.toml"),
    file!("catalog/notices/account_security.toml"),
    file!("catalog/notices/analytics.toml"),
    file!("catalog/notices/bookkeeping.toml"),
    file!("catalog/notices/direct_marketing.toml"),
    file!("catalog/notices/fraud_prevention.toml"),
    file!("catalog/notices/legal_claims.toml"),
    file!("catalog/notices/payment.toml"),
    file!("catalog/notices/personalization.toml"),
    file!("catalog/notices/privacy_requests.toml"),
    file!("catalog/notices/service_delivery.toml"),
    file!("catalog/notices/support.toml"),
    file!("catalog/notices/third_party_ads.toml"),
    file!("catalog/purposes/account_security.toml"),
    file!("catalog/purposes/analytics.toml"),
    file!("catalog/purposes/bookkeeping.toml"),
    file!("catalog/purposes/direct_marketing.toml"),
    file!("catalog/purposes/fraud_prevention.toml"),
    file!("catalog/purposes/legal_claims.toml"),
    file!("catalog/purposes/payment.toml"),
    file!("catalog/purposes/personalization.toml"),
    file!("catalog/purposes/privacy_requests.toml"),
    file!("catalog/purposes/service_delivery.toml"),
    file!("catalog/purposes/support.toml"),
    file!("catalog/purposes/third_party_ads.toml"),
    file!("catalog/types/contact.toml"),
    file!("catalog/types/ticket.toml"),
    file!("policy.cedar"),
    file!("roles.toml"),
];
