//! What can be called, with which parameters: AGB's API and the admin API.

/// Every operation of AGB, whether it is there yet or not: verb, path, parameters of the query, fields of the body.
pub type Operation = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

pub const OPERATIONS: &[Operation] = &[
    (
        "GET",
        "/sdk/GetContext",
        &["id", "name", "allowCreate", "loginRegionId"],
        &[],
    ),
    (
        "GET",
        "/sdk/ListContexts",
        &["maxResults", "nextToken"],
        &[],
    ),
    ("POST", "/sdk/ModifyContext", &["id", "name"], &[]),
    ("POST", "/sdk/DeleteContext", &["id"], &[]),
    ("POST", "/sdk/ClearContext", &["id"], &[]),
    (
        "POST",
        "/sdk/DescribeContextFiles",
        &["contextId", "parentFolderPath", "pageNumber", "pageSize"],
        &[],
    ),
    (
        "POST",
        "/sdk/DeleteContextFile",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/sdk/GetContextFileUploadUrl",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/sdk/GetContextFileDownloadUrl",
        &["contextId", "filePath"],
        &[],
    ),
    (
        "POST",
        "/mcp/createSession",
        &["imageId", "sdkStats"],
        &[
            "labels",
            "persistenceDataList",
            "mcpPolicyId",
            "timeout",
            "contextId",
            "sessionId",
        ],
    ),
    ("POST", "/mcp/getSession", &[], &["sessionId"]),
    ("POST", "/mcp/getSessionInfo", &[], &["sessionId"]),
    (
        "GET",
        "/sdk/ListSession",
        &["maxResults", "nextToken", "labels", "isAll"],
        &[],
    ),
    ("POST", "/mcp/releaseSessionAsync", &[], &["sessionId"]),
    ("POST", "/mcp/releaseSession", &[], &["sessionId"]),
    ("POST", "/mcp/refreshSessionIdleTime", &["sessionId"], &[]),
    ("POST", "/sdk/SetLabel", &["sessionId", "Labels"], &[]),
    (
        "GET",
        "/sdk/GetLabel",
        &["sessionId", "maxResults", "nextToken"],
        &[],
    ),
    (
        "GET",
        "/internet/getLink",
        &["sessionId", "protocolType", "port"],
        &[],
    ),
    ("POST", "/internet/getCdpLink", &["sessionId"], &[]),
    ("POST", "/mcp/getMcpResource", &[], &["sessionId"]),
    (
        "POST",
        "/browser/init",
        &["sessionId", "persistentPath", "browserOption"],
        &[],
    ),
    ("POST", "/mcp/listTools", &["imageId"], &[]),
    (
        "POST",
        "/mcp",
        &["autoGenSession", "imageId"],
        &["sessionId", "name", "server", "args"],
    ),
    (
        "POST",
        "/sdk/GetAndLoadInternalContext",
        &["sessionId", "contextTypes"],
        &[],
    ),
    (
        "POST",
        "/sdk/SyncContext",
        &["sessionId", "contextId", "path", "mode"],
        &[],
    ),
    (
        "GET",
        "/sdk/GetContextInfo",
        &["sessionId", "contextId", "path", "taskType"],
        &[],
    ),
];

/// The admin API, which is no less exposed to nonsense. Resets are rare, so that there is something to work on.
pub const ADMIN: &[Operation] = &[
    ("GET", "/state", &[], &[]),
    ("GET", "/faults", &[], &[]),
    (
        "POST",
        "/faults",
        &[],
        &[
            "operation",
            "times",
            "skip",
            "probability",
            "seed",
            "action",
        ],
    ),
    ("DELETE", "/faults/0", &[], &[]),
    (
        "GET",
        "/requests",
        &["operation", "requestId", "limit"],
        &[],
    ),
    ("GET", "/contexts", &["limit", "files"], &[]),
    ("GET", "/sessions", &["limit"], &[]),
    ("GET", "/tasks", &["limit", "sessionId"], &[]),
    ("GET", "/clock", &[], &[]),
    ("POST", "/clock/advance", &[], &["seconds"]),
    ("GET", "/nothing", &[], &[]),
];
