//! error: E0277
use oubliette::catalog::Value;

pub fn copy(value: &Value) -> Value {
    Value::clone(value)
}
