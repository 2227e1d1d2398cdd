//! Names come from callers: each parses or is refused, and what parsed says
//! nothing else than what was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oubliette::id::{CustomerId, RecordName, RequestId};
use oubliette::limits::CALLER_ID_BYTES;

fuzz_target!(|text: &str| {
    if let Ok(name) = RecordName::parse("name", text) {
        let (customer, record) = (name.customer.expose(), name.record.expose());
        assert_eq!(text, format!("customers/{customer}/records/{record}"));
        assert!(customer.len() <= CALLER_ID_BYTES && record.len() <= CALLER_ID_BYTES);
    }
    if let Ok(id) = CustomerId::parse("customer_id", text) {
        assert_eq!(id.expose(), text);
        assert!(!text.contains(['/', '\0', '\n', ' ']) && text != "..");
    }
    let _ = RequestId::parse(text);
});
