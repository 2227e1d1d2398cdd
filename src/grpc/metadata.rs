//! Records and what is known of them, as messages.

use super::value::{date, shown};
use crate::access::{Grant, Read, Withheld};
use crate::error::Error;
use crate::pb;
use crate::vault::{OpenedRecord, RecordView};

/// A record's metadata.
pub fn metadata(name: String, record_type: String, view: &RecordView) -> pb::RecordMetadata {
    pb::RecordMetadata {
        name,
        record_type,
        revision: view.revision.cast_signed(),
        schema_version: view.schema_version.cast_signed(),
        create_date: Some(date(view.created)),
        update_date: Some(date(view.updated)),
        restricted: view.restricted,
    }
}

/// A record as the purpose may see it.
pub fn record(name: String, grant: &Grant<Read>, opened: &OpenedRecord) -> pb::Record {
    let record_type = opened.record_type.name.to_string();
    let fields = opened.fields.iter();
    pb::Record {
        metadata: Some(metadata(name, record_type, &opened.view)),
        fields: fields
            .map(|(name, form, value)| (name.to_string(), shown(*form, value)))
            .collect(),
        handle: opened.handle.clone().unwrap_or_default(),
        withheld: {
            let by_rules = grant.target().withheld.iter();
            by_rules.chain(&opened.withheld).map(withheld).collect()
        },
    }
}

fn withheld(withheld: &Withheld) -> pb::WithheldField {
    let field = withheld.denial.field.as_ref();
    pb::WithheldField {
        field: field.map_or_else(String::new, ToString::to_string),
        reason: withheld.denial.rule.reason().to_owned(),
        message: withheld.denial.to_string(),
    }
}

/// Why a record of a batch was not read.
pub fn failure(error: &Error) -> pb::RecordFailure {
    pb::RecordFailure {
        reason: error.reason().to_owned(),
        message: error.to_string(),
    }
}
