//! Events: one JSON object per line of stdout.

use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::{Value, json};

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Prints an event; `fields` is a JSON object.
pub fn out(event: &str, fields: Value) {
    let started = STARTED.get_or_init(Instant::now);
    let mut line = json!({"event": event, "t": started.elapsed().as_millis() as u64});
    if let (Value::Object(all), Value::Object(more)) = (&mut line, fields) {
        all.extend(more);
    }
    // Who reads us may be gone: then there is nobody to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

pub fn failed(place: &str, error: impl ToString) {
    out("error", json!({"where": place, "message": error.to_string()}));
}
