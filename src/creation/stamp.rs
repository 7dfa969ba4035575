//! The gateway's own labels of a session, and the proof that a gateway of this AGB account wrote them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::upstream::LabelMap;
use crate::domain::RESERVED_LABEL_PREFIX;
use crate::secret::Keyring;

const ATTEMPT: &str = "agb-gateway/attempt";
const STATE: &str = "agb-gateway/state";
const PHASE: &str = "agb-gateway/phase";
const EXPIRES: &str = "agb-gateway/expires";
const REQUEST: &str = "agb-gateway/request";
const PARAMETERS: &str = "agb-gateway/params";
const LEASE: &str = "agb-gateway/lease";
const PROOF: &str = "agb-gateway/proof";

const PURPOSE: &str = "session labels";
/// How much of a hash tells a parameter's value: 48 bits.
const PARAMETER_BYTES: usize = 6;

/// What the labels of a session that the gateway made say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Names the attempt to create that made it.
    pub attempt: String,
    /// How far it has come.
    pub phase: Phase,
    /// When it may be released if it was not handed over: milliseconds since the epoch.
    pub expires: i64,
    /// For which `request_id`; `None` where the caller gave none.
    pub claim: Option<Claim>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It was created.
    Candidate,
    /// It is the one session of its `request_id`, and not yet handed over.
    Chosen,
    /// Its creator is about to release it.
    Withdrawn,
    /// One who did not create it is about to hand it over, and looks whether that stands. It is swept no more.
    Taken,
    /// It was handed over: it is the caller's.
    Owned,
}

/// For which call a session was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Stands for the `request_id`.
    pub request: String,
    /// With which parameters it was called.
    pub parameters: Parameters,
    /// Until when its creator alone decides about it: milliseconds since the epoch.
    pub lease: i64,
}

/// The parameters of a call: for each field of the request a short hash of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters(String);

/// The keys of proofs: the first one proves, all are accepted.
#[derive(Clone, Debug)]
pub struct Keys(Keyring);

impl Keys {
    /// Keys that all replicas share.
    pub fn new(keyring: Keyring) -> Self {
        Self(keyring)
    }

    /// What may stand for a `request_id` in labels, what is to be written first: nobody can tell the id from it. Callers who are
    /// bound to other labels have other ones.
    pub fn requests(&self, request_id: &str, bound: &LabelMap) -> Vec<String> {
        let bound = bound
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let pairs = std::iter::once(("request", request_id)).chain(bound);
        let keys = self.0.keys(PURPOSE).into_iter();
        keys.map(|key| mac(key, pairs.clone())).collect()
    }

    /// The proofs of labels: over all of the gateway's own but the proof itself.
    fn proofs(&self, labels: &LabelMap) -> Vec<String> {
        let own = labels
            .iter()
            .filter(|(key, _)| key.starts_with(RESERVED_LABEL_PREFIX) && *key != PROOF)
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let keys = self.0.keys(PURPOSE).into_iter();
        keys.map(|key| mac(key, own.clone())).collect()
    }
}

fn mac<'a>(mut mac: Hmac<Sha256>, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    for text in pairs.flat_map(|(key, value)| [key, value]) {
        mac.update(&(text.len() as u64).to_be_bytes());
        mac.update(text.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

impl Stamp {
    /// The labels to find the sessions of a `request_id` by.
    pub fn of_request(request: &str) -> LabelMap {
        LabelMap::from([(REQUEST.to_owned(), request.to_owned())])
    }

    /// The labels to find the session of an attempt by.
    pub fn of_attempt(attempt: &str) -> LabelMap {
        LabelMap::from([(ATTEMPT.to_owned(), attempt.to_owned())])
    }

    /// The labels to find sessions by that were not handed over.
    pub fn not_handed_over() -> LabelMap {
        LabelMap::from([(STATE.to_owned(), "creating".to_owned())])
    }

    /// Writes it beside the labels of the caller.
    pub fn write(&self, callers: &LabelMap, keys: &Keys) -> LabelMap {
        let mut labels = callers.clone();
        labels.retain(|key, _| !key.starts_with(RESERVED_LABEL_PREFIX));
        let mut put = |key: &str, value: String| labels.insert(key.to_owned(), value);
        put(ATTEMPT, self.attempt.clone());
        let state = match self.phase {
            Phase::Owned | Phase::Taken => "owned",
            Phase::Candidate | Phase::Chosen | Phase::Withdrawn => "creating",
        };
        put(STATE, state.to_owned());
        put(PHASE, self.phase.as_str().to_owned());
        put(EXPIRES, self.expires.to_string());
        if let Some(claim) = &self.claim {
            put(REQUEST, claim.request.clone());
            put(PARAMETERS, claim.parameters.0.clone());
            put(LEASE, claim.lease.to_string());
        }
        let proof = keys.proofs(&labels).into_iter().next();
        labels.extend(proof.map(|proof| (PROOF.to_owned(), proof)));
        labels
    }

    /// Reads the gateway's labels; `None` when they are not provably its own.
    pub fn read(labels: &LabelMap, keys: &Keys) -> Option<Self> {
        let text = |key: &str| labels.get(key).map(String::as_str);
        let time = |key: &str| text(key)?.parse().ok();
        let proof = text(PROOF)?;
        if !keys.proofs(labels).iter().any(|expected| expected == proof) {
            return None;
        }
        let claim = match text(REQUEST) {
            None => None,
            Some(request) => Some(Claim {
                request: request.to_owned(),
                parameters: Parameters(text(PARAMETERS)?.to_owned()),
                lease: time(LEASE)?,
            }),
        };
        Some(Self {
            attempt: text(ATTEMPT)?.to_owned(),
            phase: Phase::read(text(PHASE)?)?,
            expires: time(EXPIRES)?,
            claim,
        })
    }

    /// Whether labels, provable or not, say that the session is still being created.
    pub fn is_being_created(labels: &LabelMap) -> bool {
        labels.get(STATE).is_some_and(|state| state == "creating")
    }
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Chosen => "chosen",
            Self::Withdrawn => "withdrawn",
            Self::Taken => "taken",
            Self::Owned => "owned",
        }
    }

    fn read(text: &str) -> Option<Self> {
        let all = [
            Self::Candidate,
            Self::Chosen,
            Self::Withdrawn,
            Self::Taken,
            Self::Owned,
        ];
        all.into_iter().find(|phase| phase.as_str() == text)
    }
}

impl Parameters {
    /// The parameters by the name of their field, each as any text that is the same for the same value.
    pub fn new(fields: &[(&str, String)]) -> Self {
        let hashes: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let hash = Sha256::digest(value.as_bytes());
                // Three letters keep all fields within one label.
                format!(
                    "{}:{}",
                    short(name),
                    URL_SAFE_NO_PAD.encode(&hash[..PARAMETER_BYTES])
                )
            })
            .collect();
        Self(hashes.join(" "))
    }

    /// Which of the named fields have other values.
    pub fn differing<'a>(&self, other: &Self, names: &[&'a str]) -> Vec<&'a str> {
        if self == other {
            return Vec::new();
        }
        let differs = |name: &&&str| self.hash(name) != other.hash(name);
        names.iter().filter(differs).copied().collect()
    }

    fn hash(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.split(' ').filter_map(|pair| pair.split_once(':'));
        pairs
            .find(|(key, _)| *key == short(name))
            .map(|(_, hash)| hash)
    }
}

/// The first letters of a field, by which it is told from the others.
fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(secret: &str) -> Keys {
        Keys::new(Keyring::of_secret(secret, "default"))
    }

    fn stamp() -> Stamp {
        Stamp {
            attempt: "a-1".to_owned(),
            phase: Phase::Candidate,
            expires: 1_760_517_000_000,
            claim: Some(Claim {
                request: "r".to_owned(),
                parameters: parameters("image", "1"),
                lease: 1_760_516_000_000,
            }),
        }
    }

    fn parameters(image: &str, labels: &str) -> Parameters {
        Parameters::new(&[
            ("image_id", image.to_owned()),
            ("labels", labels.to_owned()),
        ])
    }

    fn callers() -> LabelMap {
        LabelMap::from([("team".to_owned(), "blue".to_owned())])
    }

    #[test]
    fn what_is_written_is_read_by_every_replica_of_the_account() {
        let keys = keys_of("account key");
        let labels = stamp().write(&callers(), &keys);
        let replica = keys_of("account key");
        assert_eq!(Stamp::read(&labels, &replica), Some(stamp()));
        assert_eq!(labels["team"], "blue");
        let plain = Stamp {
            claim: None,
            ..stamp()
        };
        assert_eq!(
            Stamp::read(&plain.write(&callers(), &keys), &keys),
            Some(plain)
        );
        assert_eq!(Stamp::read(&labels, &keys_of("another key")), None);
        assert_eq!(Stamp::read(&callers(), &keys), None);
    }

    #[test]
    fn no_label_of_the_gateway_s_own_can_be_changed_left_out_or_added_and_the_caller_s_can() {
        let keys = keys_of("account key");
        let labels = stamp().write(&callers(), &keys);
        for key in labels.keys().filter(|key| key.starts_with("agb-gateway/")) {
            let mut changed = labels.clone();
            changed.insert(key.clone(), "1".to_owned());
            assert_eq!(Stamp::read(&changed, &keys), None, "{key}");
            changed.remove(key);
            assert_eq!(Stamp::read(&changed, &keys), None, "{key}");
        }
        let mut more = labels.clone();
        more.insert("agb-gateway/more".to_owned(), "1".to_owned());
        assert_eq!(Stamp::read(&more, &keys), None);
        let mut callers = labels;
        callers.insert("team".to_owned(), "red".to_owned());
        assert_eq!(Stamp::read(&callers, &keys), Some(stamp()));
    }

    #[test]
    fn the_gateway_s_labels_are_as_short_as_callers_have_to_be() {
        let keys = keys_of("account key");
        let fields = [
            "image_id",
            "labels",
            "policy_id",
            "idle_timeout",
            "context_syncs",
            "browser_context",
        ];
        let fields = fields.map(|name| (name, "x".repeat(1_000)));
        let mut stamp = stamp();
        stamp.claim.as_mut().unwrap().parameters = Parameters::new(&fields);
        stamp.claim.as_mut().unwrap().request =
            keys.requests(&"x".repeat(1_000), &callers()).remove(0);
        let labels = stamp.write(&LabelMap::new(), &keys);
        assert_eq!(labels.len(), 8);
        for (key, value) in labels {
            assert!(key.len() <= 63 && value.len() <= 127, "{key}: {value}");
        }
    }

    #[test]
    fn a_request_id_is_another_one_for_callers_who_are_bound_otherwise() {
        let keys = keys_of("account key");
        let bound = |labels: &[(&str, &str)]| {
            let labels = labels.iter();
            let labels = labels.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            keys.requests("r", &labels.collect())
        };
        let all = [
            bound(&[]),
            bound(&[("team", "blue")]),
            bound(&[("team", "red")]),
            bound(&[("teamr", "ed")]),
            bound(&[("stage", "dev"), ("team", "red")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one));
        }
        assert_eq!(bound(&[]), keys.requests("r", &LabelMap::new()));
    }

    #[test]
    fn fields_that_differ_are_named() {
        let names = ["image_id", "labels"];
        let first = parameters("a", "1");
        assert_eq!(first.differing(&parameters("a", "1"), &names), [""; 0]);
        assert_eq!(first.differing(&parameters("b", "1"), &names), ["image_id"]);
        assert_eq!(first.differing(&parameters("b", "2"), &names), names);
    }
}
