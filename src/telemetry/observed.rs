//! Instruments that are read when somebody looks, and cost nothing before that.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::KeyValue;

/// The attributes of a value, and the way to read it.
type Reader = (Vec<KeyValue>, Box<dyn Fn() -> Option<f64> + Send + Sync>);

/// A value that is read by those who know it. Clones stand for the same instrument.
#[derive(Clone, Default)]
pub struct Observed(Arc<Mutex<Vec<Reader>>>);

impl Observed {
    /// Has the value for these attributes read whenever somebody looks, until it is `None`: whoever knew it has gone.
    pub fn watch(
        &self,
        attributes: impl Into<Vec<KeyValue>>,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.readers().push((attributes.into(), Box::new(read)));
    }

    pub(super) fn tell(&self, mut tell: impl FnMut(f64, &[KeyValue])) {
        self.readers().retain(|(attributes, read)| {
            let value = read();
            if let Some(value) = value {
                tell(value, attributes);
            }
            value.is_some()
        });
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("Observed")
            .field(&self.readers().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_until_who_knew_it_has_gone() {
        let observed = Observed::default();
        let known = Arc::new(7.0);
        let weak = Arc::downgrade(&known);
        observed.watch([KeyValue::new("a", "b")], move || {
            weak.upgrade().map(|known| *known)
        });
        let told = || {
            let mut told = Vec::new();
            observed.tell(|value, attributes| told.push((value, attributes.to_vec())));
            told
        };
        assert_eq!(told(), [(7.0, vec![KeyValue::new("a", "b")])]);
        drop(known);
        assert_eq!(told(), []);
        assert!(observed.readers().is_empty());
    }
}
