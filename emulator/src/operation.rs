//! The operations by their names, as fault scripts and the request log call them.
//!
//! A call of AGB's API is named by the last segment of its path. What is open to whoever has a URL is named here, since
//! its path says where to and not what for.

use axum::http::Method;

/// Stands for every operation in a fault script.
pub(crate) const ANY: &str = "*";

const STORAGE_UPLOAD: &str = "StorageUpload";
const STORAGE_DOWNLOAD: &str = "StorageDownload";
const SESSION_LINK: &str = "SessionLink";
const SESSION_SOCKET: &str = "SessionSocket";

/// Every operation that there is.
const NAMES: [&str; 33] = [
    "GetContext",
    "ListContexts",
    "ModifyContext",
    "DeleteContext",
    "ClearContext",
    "DescribeContextFiles",
    "DeleteContextFile",
    "GetContextFileUploadUrl",
    "GetContextFileDownloadUrl",
    "GetAndLoadInternalContext",
    "createSession",
    "getSession",
    "getSessionInfo",
    "ListSession",
    "releaseSessionAsync",
    "releaseSession",
    "refreshSessionIdleTime",
    "SetLabel",
    "GetLabel",
    "SyncContext",
    "GetContextInfo",
    "mcp",
    "listTools",
    "callTool",
    "getMcpResource",
    "getLink",
    "getCdpLink",
    "init",
    STORAGE_UPLOAD,
    STORAGE_DOWNLOAD,
    SESSION_LINK,
    SESSION_SOCKET,
    ANY,
];

/// What a fault may be scripted for: every operation, and [`ANY`].
pub(crate) fn names() -> &'static [&'static str] {
    &NAMES
}

/// The operation of a call of AGB's API.
pub(crate) fn of_call(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The operation of a request that needs no API key.
pub(crate) fn of_open_request(method: &Method, path: &str) -> &'static str {
    if path.starts_with("/storage/") {
        if method == Method::PUT {
            STORAGE_UPLOAD
        } else {
            STORAGE_DOWNLOAD
        }
    } else if path.starts_with("/link/") {
        SESSION_LINK
    } else {
        SESSION_SOCKET
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_its_name_here_and_every_name_its_route() {
        // The paths are the texts in the table of routes that begin with a slash.
        let routes = include_str!("http/routes.rs").split("mod tests").next();
        let paths = routes.unwrap_or_default().split('"').skip(1).step_by(2);
        let of_routes: BTreeSet<_> = paths
            .filter(|path| path.starts_with('/') && *path != "/")
            .flat_map(|path| {
                let open = |method: &Method| of_open_request(method, path);
                match path.split('/').nth(1) {
                    Some("storage" | "link") => vec![open(&Method::PUT), open(&Method::GET)],
                    Some("direct") if path.ends_with("/ws") => vec![open(&Method::GET)],
                    _ => vec![of_call(path)],
                }
            })
            .collect();
        let named: BTreeSet<_> = NAMES.into_iter().filter(|name| *name != ANY).collect();
        assert_eq!(of_routes, named);
    }
}
