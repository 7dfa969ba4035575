//! MappingPolicyService.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde_json::json;
use tonic::{Request, Response, Status};

use super::scope::owned;
use super::walk::{FoundFile, walk};
use super::{Backend, deadline, shell, translate};
use crate::domain::{Limits, Mapping, MountPath, NearMiss, Violations, near_misses, relative_to};
use crate::proto::v1 as pb;
use crate::proto::v1::mapping_policy_service_server as server;
use crate::resilience::Deadline;
use crate::status::Failure;

/// How many files of a session are asked for in one command: its output stays well below AGB's and our limits.
const FILES_PER_COMMAND: usize = 2_000;

/// Mappings: data that one session stored under one path, seen by another session at another path.
#[derive(Clone, Debug)]
pub struct MappingPolicyService(pub Backend);

#[tonic::async_trait]
impl server::MappingPolicyService for MappingPolicyService {
    async fn resolve_mapping(
        &self,
        request: Request<pb::ResolveMappingRequest>,
    ) -> Result<Response<pb::ResolveMappingResponse>, Status> {
        let answer = resolve(&self.0.limits, &request.into_inner()).map_err(Failure::from)?;
        Ok(Response::new(answer))
    }

    async fn inspect_mapping(
        &self,
        request: Request<pb::InspectMappingRequest>,
    ) -> Result<Response<pb::InspectMappingResponse>, Status> {
        let deadline = deadline(&request)?;
        let answer = inspect(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }

    async fn verify_mapping(
        &self,
        request: Request<pb::VerifyMappingRequest>,
    ) -> Result<Response<pb::VerifyMappingResponse>, Status> {
        let deadline = owned(&self.0, &request, &request.get_ref().session_id).await?;
        let answer = verify(&self.0, &request.into_inner(), deadline).await?;
        Ok(Response::new(answer))
    }
}

/// Checks the two paths of a mapping; `None` when one of them was noted.
fn mapping(original: &str, target: &str, violations: &mut Violations) -> Option<Mapping> {
    let original = violations.check("original_path", MountPath::try_new(original));
    let target = violations.check("target_path", MountPath::try_new(target));
    Some(Mapping {
        original: original?,
        target: target?,
    })
}

fn resolve(
    limits: &Limits,
    request: &pb::ResolveMappingRequest,
) -> Result<pb::ResolveMappingResponse, Violations> {
    let mut violations = Violations::default();
    let mapping = mapping(
        &request.original_path,
        &request.target_path,
        &mut violations,
    );
    if request.paths.is_empty() {
        violations.add("paths", "is required and must not be empty");
    }
    let max = limits.resolved_paths;
    violations.check("paths", max.check("be", request.paths.len()));
    let mut resolved_paths = Vec::new();
    for (index, path) in request.paths.iter().take(max.value).enumerate() {
        let Some(mapping) = &mapping else { break };
        if let Some(target_path) =
            violations.check(&format!("paths[{index}]"), mapping.resolve(path))
        {
            resolved_paths.push(pb::ResolvedPath {
                original_path: path.clone(),
                target_path,
            });
        }
    }
    violations.into_result()?;
    Ok(pb::ResolveMappingResponse { resolved_paths })
}

async fn inspect(
    backend: &Backend,
    request: &pb::InspectMappingRequest,
    deadline: Deadline,
) -> Result<pb::InspectMappingResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("context_id", translate::identifier(&request.context_id));
    let original = violations.check("original_path", MountPath::try_new(&request.original_path));
    let Some(original) = original else {
        return Err(violations.into());
    };
    violations.into_result()?;
    let files = files_below(backend, &request.context_id, &original, deadline).await?;
    let near_misses = if files.is_empty() {
        let mut all = Vec::new();
        walk(backend, &request.context_id, "/", deadline, |file| {
            all.push(file.path);
            ControlFlow::Continue(())
        })
        .await?;
        near_misses(all.iter().map(String::as_str), &original)
    } else {
        Vec::new()
    };
    Ok(pb::InspectMappingResponse {
        file_count: count(files.len()),
        total_size_bytes: files.iter().map(|file| bytes(file.size)).sum(),
        sample_paths: files
            .into_iter()
            .map(|file| file.path)
            .take(backend.limits.sample_paths.value)
            .collect(),
        near_misses: near_misses.into_iter().map(pb::NearMiss::from).collect(),
    })
}

/// The files of a context below a path, by path.
async fn files_below(
    backend: &Backend,
    context_id: &str,
    folder: &MountPath,
    deadline: Deadline,
) -> Result<Vec<FoundFile>, Failure> {
    let mut files = Vec::new();
    walk(backend, context_id, folder.as_str(), deadline, |file| {
        if relative_to(&file.path, folder).is_some() {
            files.push(file);
        }
        ControlFlow::Continue(())
    })
    .await?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

async fn verify(
    backend: &Backend,
    request: &pb::VerifyMappingRequest,
    deadline: Deadline,
) -> Result<pb::VerifyMappingResponse, Failure> {
    let mut violations = Violations::default();
    violations.check("session_id", translate::identifier(&request.session_id));
    violations.check("context_id", translate::identifier(&request.context_id));
    let mapping = mapping(
        &request.original_path,
        &request.target_path,
        &mut violations,
    );
    let Some(mapping) = mapping else {
        return Err(violations.into());
    };
    violations.into_result()?;
    let expected = files_below(backend, &request.context_id, &mapping.original, deadline).await?;
    let shown = shown_in_session(backend, &request.session_id, &mapping.target, deadline).await?;
    let mut discrepancies: Vec<_> = expected
        .iter()
        .filter_map(|file| discrepancy(file, &mapping, &shown))
        .collect();
    let discrepancy_count = count(discrepancies.len());
    discrepancies.truncate(backend.limits.discrepancies.value);
    Ok(pb::VerifyMappingResponse {
        verified: discrepancies.is_empty() && !expected.is_empty(),
        file_count: count(expected.len()),
        discrepancies,
        discrepancy_count,
    })
}

/// What a session shows below a folder.
#[derive(Debug, Default)]
struct Shown {
    /// The files, by their paths relative to the folder.
    files: BTreeMap<String, Actual>,
    /// Folders that cannot be looked into.
    closed: Vec<String>,
}

/// A file of a session.
#[derive(Clone, Copy, Debug)]
struct Actual {
    size: u64,
    readable: bool,
}

fn discrepancy(
    file: &FoundFile,
    mapping: &Mapping,
    shown: &Shown,
) -> Option<pb::MappingDiscrepancy> {
    use pb::MappingDiscrepancyKind::{Missing, SizeDiffers, Unreadable};
    let relative = relative_to(&file.path, &mapping.original)?;
    let (kind, actual_size) = match shown.files.get(relative) {
        None if shown.hides(relative) => (Unreadable, None),
        None => (Missing, None),
        Some(actual) if !actual.readable => (Unreadable, None),
        Some(actual) if actual.size != file.size => (SizeDiffers, Some(bytes(actual.size))),
        Some(_) => return None,
    };
    Some(pb::MappingDiscrepancy {
        original_path: file.path.clone(),
        target_path: mapping.resolve(&file.path).unwrap_or_default(),
        kind: kind.into(),
        expected_size_bytes: bytes(file.size),
        actual_size_bytes: actual_size,
    })
}

/// What `find` says of the files below a folder of a session.
async fn shown_in_session(
    backend: &Backend,
    session_id: &str,
    folder: &MountPath,
    deadline: Deadline,
) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    let mut entries = 0;
    for page in 0.. {
        let first = page * FILES_PER_COMMAND + 1;
        let last = first + FILES_PER_COMMAND - 1;
        // Base64, since names may hold whatever JSON cannot. A folder that is not there holds nothing.
        let command = format!(
            "find {}/ -type d \\( ! -readable -o ! -executable \\) -printf 'd0 %P\\0' -prune \
             -o -type f \\( -readable -printf 'r%s %P\\0' -o -printf '-%s %P\\0' \\) 2>/dev/null \
             | LC_ALL=C sort -z -k2 | sed -z -n '{first},{last}p' | base64 -w0",
            shell::quote(folder.as_str())
        );
        let output = shell::run(backend, session_id, json!({"command": command}), deadline).await?;
        let listing = shell::decode(output.stdout.trim()).ok_or_else(|| Failure::Tool {
            message: "the session's file listing is no base64".to_owned(),
            request_id: String::new(),
        })?;
        let mut lines = 0;
        for line in listing
            .split(|byte| *byte == 0)
            .filter(|line| !line.is_empty())
        {
            lines += 1;
            shown.add(&String::from_utf8_lossy(line));
        }
        entries += lines;
        if entries > backend.max_walk_entries {
            return Err(Failure::LimitExceeded {
                what: "files of the session that one call looks at".to_owned(),
                setting: "mapping.max_entries",
                limit: backend.max_walk_entries,
            });
        }
        if lines < FILES_PER_COMMAND {
            break;
        }
    }
    Ok(shown)
}

impl Shown {
    /// Adds one entry of the listing: `r12 a/b` or `-12 a/b` for a file, `d0 a` for a folder that cannot be looked into.
    fn add(&mut self, line: &str) {
        let Some((what, path)) = line.split_once(' ') else {
            return;
        };
        let Some((kind, size)) = what.split_at_checked(1) else {
            return;
        };
        if kind == "d" {
            self.closed.push(path.to_owned());
        } else if let Ok(size) = size.parse() {
            let readable = kind == "r";
            self.files
                .insert(path.to_owned(), Actual { size, readable });
        }
    }

    /// Whether a path lies in a folder that cannot be looked into. The empty path is the folder itself.
    fn hides(&self, path: &str) -> bool {
        self.closed.iter().any(|closed| {
            closed.is_empty()
                || path
                    .strip_prefix(closed.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl From<NearMiss> for pb::NearMiss {
    fn from(miss: NearMiss) -> Self {
        Self {
            path: miss.path,
            file_count: bytes(miss.file_count),
            edit_distance: i32::try_from(miss.edit_distance).unwrap_or(i32::MAX),
        }
    }
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
