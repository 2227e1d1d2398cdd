//! error: E0624
use oubliette::access::{Principal, Snapshot};
use oubliette::id::{ServiceName, TenantName};
use std::sync::Arc;

pub fn become_anyone(rules: &Snapshot) -> Option<Arc<Principal>> {
    let tenant = TenantName::parse("acme")?;
    let service = ServiceName::parse("privacy-office")?;
    rules.principal(&tenant, &service).cloned()
}
