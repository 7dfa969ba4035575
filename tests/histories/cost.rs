//! How often the pollers of each replica ask AGB.

use crate::task::Millis;

/// How often the pollers of each replica ask AGB.
#[derive(Debug, Default)]
pub(crate) struct Cost([OfReplica; 4]);

#[derive(Debug, Default)]
struct OfReplica {
    in_flight: u32,
    waiters: u32,
    /// Those who wait for the session as a whole, and since when there is one.
    sharers: u32,
    shared_since: Millis,
    looks_without_waiters: u32,
    /// When the latest look of the poller that those wait for who are there now was begun.
    latest: Option<Millis>,
}

impl Cost {
    pub(crate) fn joins(&mut self, replica: usize) {
        self.0[replica].waiters += 1;
        self.0[replica].looks_without_waiters = 0;
    }

    pub(crate) fn leaves(&mut self, replica: usize) {
        let cost = &mut self.0[replica];
        cost.waiters -= 1;
        if cost.waiters == 0 {
            cost.latest = None;
        }
    }

    pub(crate) fn shares(&mut self, replica: usize, now: Millis) {
        let cost = &mut self.0[replica];
        if cost.sharers == 0 {
            cost.shared_since = now;
        }
        cost.sharers += 1;
    }

    pub(crate) fn shares_no_more(&mut self, replica: usize) {
        self.0[replica].sharers -= 1;
    }

    pub(crate) fn shared_since(&self, replica: usize) -> Millis {
        self.0[replica].shared_since
    }

    /// A poller begins a look; what is wrong with that.
    pub(crate) fn begins(&mut self, replica: usize, now: Millis, floor: Millis) -> Option<String> {
        let cost = &mut self.0[replica];
        cost.in_flight += 1;
        if cost.waiters == 0 {
            cost.looks_without_waiters += 1;
            if cost.looks_without_waiters > 1 {
                return Some(format!("replica {replica} looks on for nobody"));
            }
            return None;
        }
        let latest = cost.latest.replace(now);
        if cost.in_flight > 1 {
            return Some(format!(
                "replica {replica} has {} looks in flight",
                cost.in_flight
            ));
        }
        let gap = latest
            .map(|latest| now - latest)
            .filter(|gap| *gap < floor)?;
        Some(format!(
            "replica {replica} looks again after {gap} ms, below the floor of {floor} ms"
        ))
    }

    pub(crate) fn ends(&mut self, replica: usize) {
        self.0[replica].in_flight -= 1;
    }
}
