//! The version that a library says it has.
//!
//! The runtime's crate asks `OrtGetApiBase()->GetVersionString()` while it loads a library, and tells the
//! answer as an event of `tracing`, in whole nowhere else.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

/// What `load` gives, and the version of the library that it loaded, such as `1.32.0`; `None` when it
/// loaded none.
pub(super) fn listen<T>(load: impl FnOnce() -> T) -> (T, Option<String>) {
    let heard = Heard::default();
    let given = dispatcher::with_default(&Dispatch::new(heard.clone()), load);
    let version = heard.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    (given, version)
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Option<String>>>);

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ort")
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message"
            && let Some(version) = version_in(&format!("{value:?}"))
        {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
        }
    }
}

/// `Loaded ONNX Runtime dylib from "PATH"; version '1.32.0'`
fn version_in(message: &str) -> Option<&str> {
    let (_, version) = message.strip_prefix("Loaded ONNX Runtime")?.rsplit_once("; version '")?;
    version.strip_suffix('\'')
}
