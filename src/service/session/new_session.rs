//! What CreateSession asks for: every field checked, presets resolved, browser data made mounts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::translate;
use crate::agb::wire;
use crate::creation::Parameters;
use crate::domain::{
    BwList, DeletePolicy, Labels, Limits, MountPath, Preset, SyncPolicy, UploadPolicy, Violations,
    WhiteList,
};
use crate::proto::v1 as pb;

/// Where AGB's SDK mounts browser data, fingerprints and extensions; the last one with a trailing `/`.
const BROWSER_DATA_PATH: &str = "/tmp/agb_browser_data";
const BROWSER_FINGERPRINT_PATH: &str = "/tmp/agb_browser_fingerprint";
const EXTENSIONS_PATH: &str = "/tmp/extensions/";
/// What the SDK keeps of a browser's data.
const BROWSER_WHITE_LIST: [&str; 3] = [
    "/Local State",
    "/Default/Cookies",
    "/Default/Cookies-journal",
];

const SECOND: Duration = Duration::from_secs(1);

/// A request that passed every rule.
pub(super) struct NewSession {
    pub(super) image_id: String,
    pub(super) labels: Labels,
    pub(super) policy_id: Option<String>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) mounts: Vec<Mount>,
    pub(super) request_id: Option<String>,
    pub(super) return_immediately: bool,
    pub(super) keep_on_failure: bool,
}

/// The fields that make a session what it is: calls with one `request_id` must agree in them.
pub(super) const PARAMETERS: [&str; 6] = [
    "image_id",
    "labels",
    "policy_id",
    "idle_timeout",
    "context_syncs",
    "browser_context",
];

/// A context to mount.
pub(super) struct Mount {
    pub(super) context_id: String,
    pub(super) path: MountPath,
    /// The path as AGB gets it.
    pub(super) agb_path: String,
    pub(super) policy: SyncPolicy,
    /// Whether it stems from `browser_context`.
    is_of_browser: bool,
}

impl NewSession {
    /// What the [`PARAMETERS`] come to, with presets resolved; the order of contexts does not count.
    pub(super) fn parameters(&self) -> Parameters {
        let mounts = |is_of_browser: bool| {
            let mounts = self.mounts.iter();
            let mut texts: Vec<_> = mounts
                .filter(|mount| mount.is_of_browser == is_of_browser)
                .map(|mount| {
                    let policy = wire::policy_text(&mount.policy);
                    (mount.agb_path.as_str(), mount.context_id.as_str(), policy)
                })
                .collect();
            texts.sort();
            format!("{texts:?}")
        };
        let values = [
            self.image_id.clone(),
            format!("{:?}", self.labels.as_map()),
            format!("{:?}", self.policy_id),
            format!("{:?}", self.idle_timeout),
            mounts(false),
            mounts(true),
        ];
        let fields: Vec<_> = PARAMETERS.into_iter().zip(values).collect();
        Parameters::new(&fields)
    }
}

/// Checks all fields.
pub(super) fn validate(
    presets: &BTreeMap<String, Preset>,
    limits: &Limits,
    request: &pb::CreateSessionRequest,
) -> Result<NewSession, Violations> {
    let mut violations = Violations::default();
    let image_id = violations.check("image_id", translate::identifier(&request.image_id));
    let labels = Labels::check("labels", &request.labels, limits, &mut violations);
    let policy_id = (!request.policy_id.is_empty())
        .then(|| violations.check("policy_id", translate::identifier(&request.policy_id)))
        .flatten();
    let idle_timeout = violations.check(
        "idle_timeout",
        translate::duration_up_to(limits.idle_timeout, request.idle_timeout.as_ref(), SECOND),
    );
    let request_id = (!request.request_id.is_empty())
        .then(|| violations.check("request_id", translate::identifier(&request.request_id)))
        .flatten();
    let failure_action =
        violations.check("failure_action", translate::choice(request.failure_action));
    // Whether they overlap is asked of every pair, so too many are not looked at.
    let count = limits
        .context_syncs
        .check("be", request.context_syncs.len());
    let mounts = match violations.check("context_syncs", count) {
        Some(_) => mounts(presets, request, &mut violations),
        None => Vec::new(),
    };
    violations.into_result()?;
    Ok(NewSession {
        image_id: image_id.unwrap_or_default(),
        labels,
        policy_id,
        idle_timeout: idle_timeout.flatten(),
        mounts,
        request_id,
        return_immediately: request.return_immediately,
        keep_on_failure: failure_action == Some(pb::CreateFailureAction::Keep),
    })
}

/// All contexts to mount, in the order of AGB's SDK: the caller's, extensions, fingerprint, browser data.
fn mounts(
    presets: &BTreeMap<String, Preset>,
    request: &pb::CreateSessionRequest,
    violations: &mut Violations,
) -> Vec<Mount> {
    let mut mounts: Vec<(String, Mount)> = Vec::new();
    for (index, context_sync) in request.context_syncs.iter().enumerate() {
        let field = format!("context_syncs[{index}]");
        if let Some(mount) = mount(presets, context_sync, &field, violations) {
            mounts.push((format!("{field}.path"), mount));
        }
    }
    if let Some(browser) = &request.browser_context {
        mounts.extend(browser_mounts(browser, violations));
    }
    for (index, (field, mount)) in mounts.iter().enumerate() {
        let mut others = mounts[..index].iter();
        if let Some((_, other)) = others.find(|(_, other)| other.path.overlaps(&mount.path)) {
            let rule = format!("must not overlap with another mount path, {}", other.path);
            violations.add(field, rule);
        }
    }
    mounts.into_iter().map(|(_, mount)| mount).collect()
}

fn mount(
    presets: &BTreeMap<String, Preset>,
    context_sync: &pb::ContextSync,
    field: &str,
    violations: &mut Violations,
) -> Option<Mount> {
    let context_id = violations.check(
        &format!("{field}.context_id"),
        translate::identifier(&context_sync.context_id),
    );
    let path = violations.check(
        &format!("{field}.path"),
        MountPath::try_new(&context_sync.path),
    );
    let policy = translate::preset_with(
        presets,
        &context_sync.preset,
        context_sync.policy.as_ref(),
        &format!("{field}."),
        violations,
    );
    let path = path?;
    Some(Mount {
        context_id: context_id?,
        agb_path: path.as_str().to_owned(),
        path,
        policy,
        is_of_browser: false,
    })
}

/// What AGB's SDK adds for a browser context (`agb.py`, `session_params.py`).
fn browser_mounts(
    browser: &pb::BrowserContext,
    violations: &mut Violations,
) -> Vec<(String, Mount)> {
    let mut mounts = Vec::new();
    let mut add =
        |field: &str, context_id: &str, path: &str, policy, violations: &mut Violations| {
            let agb_path = path.to_owned();
            let context_id = violations.check(field, translate::identifier(context_id));
            let path = violations.check(field, MountPath::try_new(path));
            if let Some((context_id, path)) = context_id.zip(path) {
                let mount = Mount {
                    context_id,
                    path,
                    agb_path,
                    policy,
                    is_of_browser: true,
                };
                mounts.push((field.to_owned(), mount));
            }
        };
    if let Some(extensions) = &browser.extension_option {
        let ids = "browser_context.extension_option.extension_ids";
        if extensions.extension_ids.is_empty() {
            violations.add(ids, "is required and must not be empty");
        }
        for (index, id) in extensions.extension_ids.iter().enumerate() {
            violations.check(&format!("{ids}[{index}]"), translate::identifier(id));
        }
        let policy = SyncPolicy {
            upload: upload(false),
            delete: DeletePolicy {
                sync_local_file: false,
            },
            bw_list: white_list(extensions.extension_ids.iter().map(String::as_str)),
            ..SyncPolicy::default()
        };
        let field = "browser_context.extension_option.context_id";
        add(
            field,
            &extensions.context_id,
            EXTENSIONS_PATH,
            policy,
            violations,
        );
    }
    if !browser.fingerprint_context_id.is_empty() {
        let policy = SyncPolicy {
            upload: upload(false),
            ..SyncPolicy::default()
        };
        let field = "browser_context.fingerprint_context_id";
        let context_id = &browser.fingerprint_context_id;
        add(
            field,
            context_id,
            BROWSER_FINGERPRINT_PATH,
            policy,
            violations,
        );
    }
    let policy = SyncPolicy {
        upload: upload(browser.auto_upload.unwrap_or(true)),
        bw_list: white_list(BROWSER_WHITE_LIST.into_iter()),
        ..SyncPolicy::default()
    };
    let field = "browser_context.context_id";
    add(
        field,
        &browser.context_id,
        BROWSER_DATA_PATH,
        policy,
        violations,
    );
    mounts
}

fn upload(auto_upload: bool) -> UploadPolicy {
    UploadPolicy {
        auto_upload,
        ..UploadPolicy::default()
    }
}

fn white_list<'a>(paths: impl Iterator<Item = &'a str>) -> BwList {
    BwList {
        white_lists: paths
            .map(|path| WhiteList {
                path: path.to_owned(),
                exclude_paths: Vec::new(),
            })
            .collect(),
    }
}
