//! What is noted of a call while it runs, for its line in the log. It goes with the call's span, also into what it spawns.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::Context;

use super::span::Span;

/// A call, as far as anybody has noted something.
#[derive(Clone, Debug, Default)]
pub struct Call(Arc<Mutex<Notes>>);

/// What is noted.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// Who calls.
    pub principal: Option<Arc<str>>,
    /// Whose AGB account the call uses, where that has a name.
    pub tenant: Option<Arc<str>>,
    /// The stable reason of its error.
    pub reason: Option<&'static str>,
    /// How many HTTP requests were made for it.
    pub attempts: u32,
    /// AGB's id of the last of them that was answered.
    pub agb_request_id: String,
}

impl Call {
    /// Notes something of the current call; nothing outside of any.
    pub fn note(change: impl FnOnce(&mut Notes)) {
        Context::map_current(|context| {
            if let Some(call) = context.get::<Self>() {
                change(&mut call.0.lock().unwrap_or_else(PoisonError::into_inner));
            }
        });
    }

    /// What is noted so far.
    pub fn notes(&self) -> Notes {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The span of the call, which bears it.
    pub(super) fn within(&self, span: &Span) -> Span {
        Span(span.0.with_value(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_of_the_current_call_and_outside_of_any_it_is_nothing() {
        Call::note(|notes| notes.attempts += 1);
        let call = Call::default();
        let span = call.within(&Span::current());
        span.enter(|| Call::note(|notes| notes.attempts += 1));
        Call::note(|notes| notes.attempts += 1);
        assert_eq!(call.notes().attempts, 1);
    }
}
