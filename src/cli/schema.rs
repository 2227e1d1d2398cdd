//! The fields of one record type, as the catalog of a directory declares them:
//! what a client needs to turn typed text into values.

use super::stop::{Done, Stop};
use super::value;
use crate::catalog::{Catalog, Kind};
use crate::pb;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A record type's fields and their kinds.
pub struct Schema {
    record_type: String,
    fields: BTreeMap<String, Kind>,
}

impl Schema {
    /// Loads `record_type` from `DIR/config/catalog`.
    pub fn load(dir: &Path, record_type: &str) -> Done<Self> {
        let catalog = Catalog::load(&dir.join("config").join("catalog"))?;
        let Some(found) = catalog.record_type(record_type) else {
            let known: Vec<&str> = catalog.record_types().map(|t| t.name.as_str()).collect();
            return Err(Stop::Usage(format!(
                "the catalog has no record type {record_type:?}; it has {}",
                known.join(", ")
            )));
        };
        let fields = found.fields().iter();
        let fields = fields.map(|field| (field.name.as_str().to_owned(), field.kind));
        Ok(Self::new(record_type, fields))
    }

    /// A schema out of its parts.
    pub fn new(record_type: &str, fields: impl IntoIterator<Item = (String, Kind)>) -> Self {
        Self {
            record_type: record_type.to_owned(),
            fields: fields.into_iter().collect(),
        }
    }

    /// The record type's name.
    pub fn record_type(&self) -> &str {
        &self.record_type
    }

    /// A field's kind, or an error that names the fields there are.
    pub fn kind(&self, field: &str) -> Result<Kind, String> {
        self.fields.get(field).copied().ok_or_else(|| {
            let known: Vec<&str> = self.fields.keys().map(String::as_str).collect();
            format!(
                "record type {} has no field {field:?}; it has {}",
                self.record_type,
                known.join(", ")
            )
        })
    }

    /// Reads `field=value` arguments.
    pub fn fields(&self, typed: &[String]) -> Done<HashMap<String, pb::Value>> {
        let mut fields = HashMap::new();
        for argument in typed {
            let Some((name, text)) = argument.split_once('=') else {
                return Err(Stop::Usage(
                    "every field is written field=value; quote it where the value has spaces"
                        .to_owned(),
                ));
            };
            let kind = self.kind(name).map_err(Stop::Usage)?;
            let read = value::parse(kind, text)
                .map_err(|rule| Stop::Usage(format!("field {name} {rule}")))?;
            if fields.insert(name.to_owned(), read).is_some() {
                return Err(Stop::Usage(format!("field {name} is given twice")));
            }
        }
        Ok(fields)
    }

    /// Reads a JSON object of fields; null means no value.
    pub fn fields_of_json(&self, document: &str) -> Done<HashMap<String, pb::Value>> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(document)
            .map_err(|_| Stop::Usage("the values must be one JSON object".to_owned()))?;
        let mut fields = HashMap::new();
        for (name, given) in object.iter().filter(|(_, given)| !given.is_null()) {
            let kind = self.kind(name).map_err(Stop::Usage)?;
            let read = value::parse_json(kind, given)
                .map_err(|rule| Stop::Usage(format!("field {name} {rule}")))?;
            fields.insert(name.clone(), read);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> Schema {
        let fields = [("given_name", Kind::String), ("birth_date", Kind::Date)];
        Schema::new(
            "contact",
            fields.map(|(name, kind)| (name.to_owned(), kind)),
        )
    }

    fn refusal<T>(done: Done<T>) -> String {
        done.err().map(|stop| stop.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_wrong_argument_is_refused_by_name_and_without_its_value() {
        let fields = |typed: &str| contact().fields(&[typed.to_owned()]);
        assert!(fields("given_name=a=b").is_ok_and(|f| f.len() == 1));
        assert!(refusal(fields("given_nam=Secretive")).contains("given_name"));
        let wrong = refusal(fields("birth_date=Secretive"));
        assert!(wrong.contains("birth_date") && !wrong.contains("Secretive"));
        let bare = refusal(fields("Secretive"));
        assert!(bare.contains("field=value") && !bare.contains("Secretive"));
    }

    #[test]
    fn null_in_a_json_document_is_no_value() {
        let fields = contact().fields_of_json(r#"{"given_name":"Ada","birth_date":null}"#);
        assert!(fields.is_ok_and(|f| f.len() == 1 && f.contains_key("given_name")));
        assert!(contact().fields_of_json("[]").is_err());
    }
}
