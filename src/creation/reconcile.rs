//! One creation: what AGB has made is known afterwards, also when its answer is lost.

use std::time::Duration;

use super::creations::{Creations, Error};
use super::stamp::{Phase, Stamp};
use super::upstream::LabelMap;
use crate::agb::{self, wire};
use crate::resilience::Deadline;

/// How often a session is looked for whose creation was not answered: about 6 s in all.
const LOOKS: u32 = 7;
/// How long before it is looked for again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A session that was created and not yet handed over. It is released when this is dropped.
#[derive(Debug)]
pub struct Made {
    creations: Creations,
    /// What AGB told of it.
    pub data: wire::LinkedSessionData,
    stamp: Stamp,
    labels: LabelMap,
    is_released_on_drop: bool,
}

/// Creates a session with these labels of its caller.
pub(super) async fn make(
    creations: &Creations,
    call: &wire::CreateSession,
    labels: &LabelMap,
    stamp: Stamp,
    deadline: Deadline,
) -> Result<Made, agb::Error> {
    let call = wire::CreateSession {
        labels: Some(wire::label_text(&stamp.write(labels, &creations.keys))),
        ..call.clone()
    };
    let data = match creations.upstream.create(&call, deadline).await {
        Err(error) if error.leaves_outcome_unknown() => {
            tracing::warn!(%error, "looking for a session whose creation was not answered");
            // The next look is the next attempt.
            let looking = Deadline::after(creations.upstream.request_timeout()).with_attempts(1);
            let found = find(creations, &stamp.attempt, looking).await;
            creations.told.reconciled(found.is_some());
            found.ok_or(error)
        }
        answer => answer,
    }?;
    Ok(Made {
        creations: creations.clone(),
        data,
        stamp,
        labels: labels.clone(),
        is_released_on_drop: true,
    })
}

/// Looks for the session of an attempt, a few times. A look that fails has found nothing.
async fn find(
    creations: &Creations,
    attempt: &str,
    deadline: Deadline,
) -> Option<wire::LinkedSessionData> {
    let labels = Stamp::of_attempt(attempt);
    let mut pause = FIRST_PAUSE;
    for look in 0..LOOKS {
        if look > 0 {
            deadline.pause(pause).await.ok()?;
            pause *= 2;
        }
        match describe(creations, &labels, deadline).await {
            Ok(Some(data)) => return Some(data),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "could not look for the session"),
        }
    }
    None
}

async fn describe(
    creations: &Creations,
    labels: &LabelMap,
    deadline: Deadline,
) -> Result<Option<wire::LinkedSessionData>, agb::Error> {
    let upstream = &creations.upstream;
    let listed = upstream.list(labels, None, deadline).await?;
    let Some(session_id) = listed.session_ids.into_iter().next() else {
        return Ok(None);
    };
    // A list that does not filter must not give us someone else's session.
    let found = upstream.labels(&session_id, deadline).await?;
    if Stamp::read(&found, &creations.keys).is_none()
        || labels
            .iter()
            .any(|(key, value)| found.get(key) != Some(value))
    {
        return Ok(None);
    }
    let mut data = upstream.get(&session_id, deadline).await?;
    data.session.session_id = session_id;
    Ok(Some(data))
}

impl Made {
    /// AGB's id of the session.
    pub fn session_id(&self) -> &str {
        &self.data.session.session_id
    }

    pub(super) fn creations(&self) -> &Creations {
        &self.creations
    }

    pub(super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Says in its labels how far it has come.
    pub(super) async fn mark(
        &mut self,
        phase: Phase,
        deadline: Deadline,
    ) -> Result<(), agb::Error> {
        self.stamp.phase = phase;
        let labels = self.stamp.write(&self.labels, &self.creations.keys);
        let upstream = &self.creations.upstream;
        upstream
            .set_labels(&self.data.session.session_id, &labels, deadline)
            .await
    }

    /// Makes it the caller's. What cannot be handed over is released.
    pub async fn hand_over(mut self, deadline: Deadline) -> Result<(), Error> {
        let marked = self.mark(Phase::Owned, deadline).await;
        marked.map_err(|error| Error::Agb {
            error,
            doing: "handing the session over; it is being released",
        })?;
        self.leave();
        self.creations.told.created("created");
        Ok(())
    }

    /// Does not release it any more.
    pub(super) fn leave(&mut self) {
        self.is_released_on_drop = false;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.is_released_on_drop {
            self.creations.release(self.data.session.session_id.clone());
        }
    }
}
