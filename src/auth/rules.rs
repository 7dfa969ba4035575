//! What callers may do: the first rule that fits counts, and nobody whom none fits may do anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pattern::Pattern;
use super::quota::QuotaSettings;
use super::rights::Rights;
use super::settings::DEFAULT_TENANT;

/// One rule of the configuration.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whom it is about.
    pub principals: Vec<Pattern>,
    /// Whose AGB account they use. Callers with a key of their own use theirs.
    pub tenant: String,
    /// What they may do.
    pub rights: Rights,
    /// Which images their sessions may have; `None`: all.
    pub images: Option<Vec<Pattern>>,
    /// The labels that all their sessions carry.
    pub labels: BTreeMap<String, String>,
    /// How often they may call.
    pub quotas: QuotaSettings,
}

/// What a rule gives.
#[derive(Debug)]
pub(super) struct Grant {
    /// The rule, by the principals that it is about.
    pub(super) name: Arc<str>,
    pub(super) tenant: Arc<str>,
    pub(super) rights: Rights,
    pub(super) images: Option<Vec<Pattern>>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) quotas: QuotaSettings,
}

/// All rules, in their order.
#[derive(Debug)]
pub(super) struct Rules(Vec<(Vec<Pattern>, Arc<Grant>)>);

impl Rules {
    /// These rules; without any, everybody may do everything in the default tenant.
    pub(super) fn new(rules: &[Rule]) -> Self {
        if rules.is_empty() {
            let everything = Grant {
                name: "*".into(),
                tenant: DEFAULT_TENANT.into(),
                rights: Rights::all(),
                images: None,
                labels: BTreeMap::new(),
                quotas: QuotaSettings::default(),
            };
            let everybody = Pattern::try_new("*").into_iter().collect();
            return Self(vec![(everybody, Arc::new(everything))]);
        }
        let rules = rules.iter().map(|rule| {
            let principals = rule.principals.iter().map(ToString::to_string);
            let grant = Grant {
                name: principals.collect::<Vec<_>>().join(",").into(),
                tenant: rule.tenant.as_str().into(),
                rights: rule.rights.clone(),
                images: rule.images.clone(),
                labels: rule.labels.clone(),
                quotas: rule.quotas,
            };
            (rule.principals.clone(), Arc::new(grant))
        });
        Self(rules.collect())
    }

    /// What a principal may do; `None` when no rule fits.
    pub(super) fn grant(&self, principal: &str) -> Option<&Arc<Grant>> {
        let fits = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.fits(principal));
        let mut rules = self.0.iter();
        rules.find_map(|(patterns, grant)| fits(patterns).then_some(grant))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rights::Right;
    use super::*;

    fn rule(principal: &str, tenant: &str, right: Right) -> Rule {
        Rule {
            principals: vec![Pattern::try_new(principal).unwrap()],
            tenant: tenant.to_owned(),
            rights: Rights::new([right]),
            images: None,
            labels: BTreeMap::new(),
            quotas: QuotaSettings::default(),
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = Rules::new(&[
            rule("token:ci", "first", Right::Read),
            rule("token:*", "second", Right::Admin),
        ]);
        let tenant = |principal| rules.grant(principal).map(|grant| grant.tenant.to_string());
        assert_eq!(tenant("token:ci").as_deref(), Some("first"));
        assert_eq!(tenant("token:cd").as_deref(), Some("second"));
        assert_eq!(tenant("anonymous"), None);
    }

    #[test]
    fn without_rules_everybody_may_do_everything() {
        let rules = Rules::new(&[]);
        let grant = rules.grant("anonymous").unwrap();
        assert!(grant.rights.cover(Right::Contexts));
        assert_eq!(&*grant.tenant, DEFAULT_TENANT);
    }
}
