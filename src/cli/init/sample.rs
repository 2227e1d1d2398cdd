//! The rules of `examples/crm`, inside the program, so that `init` and
//! `quickstart` work from any directory.

macro_rules! example {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../../examples/crm/", $path)),
        )
    };
}

/// Paths under `examples/crm` and their contents.
pub const CRM: &[(&str, &str)] = &[
    example!("catalog/catalog.toml"),
    example!("catalog/purposes/account_security.toml"),
    example!("catalog/purposes/analytics.toml"),
    example!("catalog/purposes/direct_marketing.toml"),
    example!("catalog/purposes/personalization.toml"),
    example!("catalog/purposes/privacy_requests.toml"),
    example!("catalog/purposes/service_delivery.toml"),
    example!("catalog/purposes/support.toml"),
    example!("catalog/types/contact.toml"),
    example!("catalog/types/ticket.toml"),
    example!("policy.cedar"),
    example!("roles.toml"),
];
