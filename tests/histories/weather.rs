//! What goes wrong between the gateway and AGB, and when.

use std::time::Duration;

use agb_gateway::agb::operation::Operation;
use agb_gateway::agb::{Error, Refusal};

use crate::random::Random;
use crate::task::Millis;

/// Why a call gets no good answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Busy,
    BadGateway,
    Throttled(Option<u64>),
    Malformed,
    /// Nothing was done.
    Invalid,
    SessionGone(&'static str),
    KeyRejected,
}

impl Fault {
    /// The error that the client of AGB would make of it.
    pub(crate) fn error(self, operation: &'static Operation) -> Error {
        let (http_status, code, retry_after) = match self {
            Self::Malformed => return Error::malformed(operation, "request", "no JSON in JSON"),
            Self::Busy => (503, "ServiceUnavailable", None),
            Self::BadGateway => (502, "", None),
            Self::Throttled(seconds) => (429, "Throttling", seconds.map(Duration::from_secs)),
            Self::Invalid => (400, "InvalidParameter", None),
            Self::SessionGone(code) => (400, code, None),
            Self::KeyRejected => (401, "InvalidApiKey", None),
        };
        let refusal = Refusal {
            http_status,
            code: code.to_owned(),
            retry_after,
            ..Refusal::default()
        };
        Error::refused(operation, refusal)
    }
}

/// What goes wrong, and when.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// From then on all looks are good and fresh, if ever.
    pub(crate) calm_from: Millis,
    /// How many of a hundred looks fail before.
    failing: u64,
    /// When all looks fail.
    outage: Option<(Millis, Millis)>,
    /// How old a look's answer can be.
    pub(crate) longest_lag: Millis,
    /// How many of a hundred looks are answered from the past.
    stale: u64,
    /// How many of a hundred entries of looks are left out by mistake.
    pub(crate) flicker: u64,
    longest_latency: Millis,
    pub(crate) gone_from: Option<Millis>,
    pub(crate) rejected_from: Option<Millis>,
}

impl Weather {
    /// `settle` bounds how old looks are, if a sync of all contexts is to come: see `World::start`.
    pub(crate) fn of(random: &mut Random, settle: Option<Millis>) -> Self {
        let calm_from = match random.between(0, 9) {
            0..=3 => 0,
            4..=7 => random.between(0, 20_000),
            _ => Millis::MAX,
        };
        let outage = random.chance(25).then(|| {
            let from = random.between(0, 10_000);
            (from, from + random.between(500, 15_000))
        });
        let once = |random: &mut Random, percent| {
            random.chance(percent).then(|| random.between(0, 20_000))
        };
        Self {
            calm_from,
            failing: random.pick(&[0, 5, 30, 70]),
            outage,
            longest_lag: random
                .pick(&[50, 500, 3_000])
                .min(settle.unwrap_or(3_000) / 2),
            stale: random.pick(&[0, 10, 60]),
            flicker: random.pick(&[0, 0, 3, 15]),
            longest_latency: random.pick(&[0, 40, 300]),
            gone_from: once(random, 6),
            rejected_from: once(random, 4),
        }
    }

    fn is_calm(&self, now: Millis) -> bool {
        now >= self.calm_from
    }

    /// How long a call takes; now and then longer than anyone waits.
    pub(crate) fn latency(&self, now: Millis, random: &mut Random) -> Millis {
        if !self.is_calm(now) && random.chance(3) {
            return random.between(500, 8_000);
        }
        random.between(0, self.longest_latency)
    }

    /// What makes any call fail for good from some moment on.
    pub(crate) fn lasting_fault(&self, now: Millis) -> Option<Fault> {
        let since = |from: Option<Millis>| from.is_some_and(|from| now >= from);
        if since(self.rejected_from) {
            return Some(Fault::KeyRejected);
        }
        let code = ["InvalidMcpSession.NotFound", "InvalidSession.NotFound"];
        since(self.gone_from).then(|| Fault::SessionGone(code[usize::from(now % 2 == 0)]))
    }

    /// What makes a look fail.
    pub(crate) fn fault_of_look(&self, now: Millis, random: &mut Random) -> Option<Fault> {
        let outage = self
            .outage
            .is_some_and(|(from, to)| (from..to).contains(&now));
        if !self.is_calm(now) && (outage || random.chance(self.failing)) {
            return Some(random.pick(&[
                Fault::Busy,
                Fault::BadGateway,
                Fault::Throttled(None),
                Fault::Throttled(Some(1)),
                Fault::Malformed,
            ]));
        }
        self.lasting_fault(now)
    }

    /// How old a look's answer is.
    pub(crate) fn lag(&self, now: Millis, random: &mut Random) -> Millis {
        if !self.is_calm(now) && random.chance(self.stale) {
            return random.between(1, self.longest_lag);
        }
        0
    }

    /// Whether a look leaves out what it should show.
    pub(crate) fn leaves_out(&self, now: Millis, random: &mut Random) -> bool {
        !self.is_calm(now) && random.chance(self.flicker)
    }
}
