//! Which session is the one of a `request_id`: the rule, without I/O and without a clock of its own.
//!
//! Whoever creates a candidate looks after that, and keeps it only when the look shows no other. Of two candidates the one that is
//! looked for later always sees the other one, so two are never kept, however slow anybody is. Who sees another one gives his own up,
//! unless it has the smallest id: then he waits for the others to be given up. Time comes in only for the candidates of gateways
//! that have ended: when a candidate's lease is over, its creator does nothing with it any more, and others may take it.

use std::time::Duration;

use super::stamp::{Phase, Stamp};
use super::upstream::LabelMap;

/// A session of a `request_id`, as a look shows it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// AGB's id.
    pub session_id: String,
    /// What the gateway's labels say.
    pub stamp: Stamp,
    /// All labels.
    pub labels: LabelMap,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This session was chosen.
    Take(String),
    /// Nobody else is here: choose one's own.
    Keep,
    /// Release one's own, and look again.
    GiveUp,
    /// Create a candidate.
    Create,
    /// Choose this one, whose creator has not done so within its lease.
    Adopt(String),
    /// Look again a little later.
    Wait,
}

/// How far clocks and requests can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How far the clocks of two replicas differ at most.
    pub clock_skew: Duration,
    /// How long a change of labels takes at most, from the look that it rests on until AGB shows it.
    pub settle: Duration,
}

impl Timing {
    /// How long before its expiry a session is no longer taken: by then the sweeper of a fast clock may already release it.
    pub(super) fn guard(&self) -> i64 {
        millis(self.clock_skew) + 2 * millis(self.settle)
    }
}

/// Milliseconds as labels have them.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What to do, with what a look shows, at `now` (milliseconds since the epoch); `own` is one's own candidate.
pub fn decide(seen: &[Seen], own: Option<&str>, now: i64, timing: &Timing) -> Step {
    let smallest = |wanted: &dyn Fn(&Seen) -> bool| {
        let ids = seen.iter().filter(|seen| wanted(seen));
        ids.map(|seen| seen.session_id.as_str()).min()
    };
    // Past its expiry by every clock: the sweeper's, and in nobody's way.
    let skew = millis(timing.clock_skew);
    let is_over = |seen: &Seen| now > seen.stamp.expires + skew;
    let may_be_taken = |seen: &Seen| now + timing.guard() < seen.stamp.expires;
    for phase in [Phase::Owned, Phase::Taken] {
        if let Some(owned) = smallest(&|seen| seen.stamp.phase == phase) {
            return Step::Take(owned.to_owned());
        }
    }
    let chosen = |seen: &Seen| seen.stamp.phase == Phase::Chosen;
    if let Some(chosen) = smallest(&|seen| chosen(seen) && may_be_taken(seen)) {
        return Step::Take(chosen.to_owned());
    }
    // Also one that is withdrawn, until that has come to its end: someone may just be taking it.
    let counts = |seen: &Seen| !is_over(seen);
    let lease = |seen: &Seen| {
        seen.stamp
            .claim
            .as_ref()
            .map_or(i64::MIN, |claim| claim.lease)
    };
    let may_be_adopted = |seen: &Seen| {
        seen.stamp.phase == Phase::Candidate && now > lease(seen) + skew && may_be_taken(seen)
    };
    let mine = seen
        .iter()
        .find(|seen| Some(seen.session_id.as_str()) == own && counts(seen))
        // Later its creator is one of many who may take it.
        .filter(|seen| now + millis(timing.settle) < lease(seen));
    if let Some(mine) = mine {
        let is_other = |seen: &&Seen| counts(seen) && seen.session_id != mine.session_id;
        let mut others = seen.iter().filter(is_other).peekable();
        if others.peek().is_none() {
            return Step::Keep;
        }
        // Someone may be adopting one whose lease is over.
        let gives_up = others.any(|other| {
            let is_candidate = other.stamp.phase == Phase::Candidate;
            may_be_adopted(other) || is_candidate && other.session_id < mine.session_id
        });
        return if gives_up { Step::GiveUp } else { Step::Wait };
    }
    if !seen.iter().any(counts) {
        return Step::Create;
    }
    match smallest(&|seen| may_be_adopted(seen)) {
        Some(id)
            if seen
                .iter()
                .all(|seen| !counts(seen) || may_be_adopted(seen)) =>
        {
            Step::Adopt(id.to_owned())
        }
        _ => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::{Claim, Parameters};
    use super::*;

    const TIMING: Timing = Timing {
        clock_skew: Duration::from_millis(10),
        settle: Duration::from_millis(5),
    };
    const LEASE: i64 = 1_000;
    const EXPIRES: i64 = 5_000;

    fn seen(session_id: &str, phase: Phase) -> Seen {
        Seen {
            session_id: session_id.to_owned(),
            stamp: Stamp {
                attempt: String::new(),
                phase,
                expires: EXPIRES,
                claim: Some(Claim {
                    request: String::new(),
                    parameters: Parameters::new(&[]),
                    lease: LEASE,
                }),
            },
            labels: LabelMap::new(),
        }
    }

    /// What is done when these candidates are seen.
    fn step(candidates: &[&str], own: Option<&str>, now: i64) -> Step {
        let seen: Vec<_> = candidates
            .iter()
            .map(|id| seen(id, Phase::Candidate))
            .collect();
        decide(&seen, own, now, &TIMING)
    }

    fn adopt(id: &str) -> Step {
        Step::Adopt(id.to_owned())
    }

    #[test]
    fn who_is_alone_keeps_his_own_and_who_has_none_creates_one() {
        assert_eq!(step(&[], None, 0), Step::Create);
        assert_eq!(step(&["a"], Some("a"), 0), Step::Keep);
    }

    #[test]
    fn of_many_only_the_smallest_is_not_given_up_and_it_waits() {
        let all = ["a", "b", "c"];
        assert_eq!(step(&all, Some("a"), 0), Step::Wait);
        assert_eq!(step(&all, Some("b"), 0), Step::GiveUp);
        assert_eq!(step(&all, Some("c"), 0), Step::GiveUp);
        assert_eq!(step(&all, None, 0), Step::Wait);
    }

    #[test]
    fn a_candidate_is_adopted_when_its_lease_is_over_by_every_clock() {
        assert_eq!(step(&["b"], None, LEASE + 10), Step::Wait);
        assert_eq!(step(&["b", "c"], None, LEASE + 11), adopt("b"));
        // Also by its creator, who has not chosen it in time.
        assert_eq!(step(&["b"], Some("b"), LEASE - 5), Step::Wait);
        assert_eq!(step(&["b"], Some("b"), LEASE + 11), adopt("b"));
    }

    #[test]
    fn one_s_own_is_given_up_for_one_that_others_may_be_adopting() {
        let mut own = seen("a", Phase::Candidate);
        own.stamp.claim.as_mut().unwrap().lease = 2 * LEASE;
        let all = [own, seen("b", Phase::Candidate)];
        assert_eq!(decide(&all, Some("a"), LEASE, &TIMING), Step::Wait);
        assert_eq!(decide(&all, Some("a"), LEASE + 11, &TIMING), Step::GiveUp);
        // And while a creator is at it, nothing is adopted.
        assert_eq!(decide(&all, None, LEASE + 11, &TIMING), Step::Wait);
    }

    #[test]
    fn what_is_about_to_expire_is_waited_for_and_what_has_expired_is_in_nobody_s_way() {
        assert_eq!(step(&["b"], None, EXPIRES - 20), Step::Wait);
        assert_eq!(step(&["b"], None, EXPIRES + 10), Step::Wait);
        assert_eq!(step(&["b"], None, EXPIRES + 11), Step::Create);
    }

    #[test]
    fn a_chosen_one_is_taken_and_one_that_was_handed_over_before_it() {
        let chosen = seen("a", Phase::Chosen);
        let owned = seen("b", Phase::Owned);
        let take = |id: &str| Step::Take(id.to_owned());
        let both = [chosen.clone(), owned];
        assert_eq!(decide(&both, Some("c"), EXPIRES + 99, &TIMING), take("b"));
        let taken = [chosen.clone(), seen("b", Phase::Taken)];
        assert_eq!(decide(&taken, None, EXPIRES + 99, &TIMING), take("b"));
        let more = [seen("0", Phase::Candidate), chosen];
        assert_eq!(decide(&more, Some("0"), 0, &TIMING), take("a"));
        assert_eq!(decide(&more, None, EXPIRES - 20, &TIMING), Step::Wait);
        let withdrawn = [seen("a", Phase::Withdrawn)];
        assert_eq!(decide(&withdrawn, None, 0, &TIMING), Step::Wait);
        let over = EXPIRES + 11;
        assert_eq!(decide(&withdrawn, None, over, &TIMING), Step::Create);
    }
}
