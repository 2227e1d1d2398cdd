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
    file!("catalog/purposes/account_security.toml"),
    file!("catalog/purposes/analytics.toml"),
    file!("catalog/purposes/direct_marketing.toml"),
    file!("catalog/purposes/personalization.toml"),
    file!("catalog/purposes/privacy_requests.toml"),
    file!("catalog/purposes/service_delivery.toml"),
    file!("catalog/purposes/support.toml"),
    file!("catalog/types/contact.toml"),
    file!("catalog/types/ticket.toml"),
    file!("policy.cedar"),
    file!("roles.toml"),
];
