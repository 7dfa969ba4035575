//! The table of AGB's operations: path, verb, where each parameter goes, and whether a call may be repeated.

use http::Method;

/// One row of the table.
#[derive(Debug)]
pub struct Operation {
    /// AGB's name: the last part of the path.
    pub name: &'static str,
    /// The verb. It says nothing about whether the call may be repeated.
    pub method: Method,
    /// The path, below the endpoint or, for [`Target::SessionLink`], below the session's own link.
    pub path: &'static str,
    /// Where the request is sent.
    pub target: Target,
    /// Parameters that go into the URL's query, also of a POST. All others go into the JSON body.
    pub query: &'static [&'static str],
    /// Whether the call may be repeated.
    pub idempotency: Idempotency,
}

/// Where a request is sent, and so how it is authorised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// AGB's endpoint, with the API key.
    Endpoint,
    /// The session's own link, with the session's token.
    SessionLink,
    /// A URL that AGB has made, which is its own authority; the path in the table is only a name.
    PresignedUrl,
}

/// Whether a call may be repeated when its answer was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It only reads, or leaves the same state however often it is done.
    Safe,
    /// It may be repeated only when it is certain that it never reached AGB.
    SafeWhenNotSent,
    /// It must not be repeated blindly: look what is there, then decide.
    Reconcile,
    /// It must not be repeated at all: it runs what callers wrote.
    Never,
}

impl Operation {
    /// The verb, as text that lives as long as the program.
    pub fn method_name(&self) -> &'static str {
        match self.method {
            Method::GET => "GET",
            Method::PUT => "PUT",
            _ => "POST",
        }
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal $target:ident $query:tt $idempotency:ident;)*) => {
        $(
            $(#[$doc])*
            pub const $name: Operation = Operation {
                name: last_part($path),
                method: Method::$method,
                path: $path,
                target: Target::$target,
                query: &$query,
                idempotency: Idempotency::$idempotency,
            };
        )*

        /// Every operation.
        pub const ALL: &[Operation] = &[$($name),*];
    };
}

operations! {
    // Contexts.
    /// Finds a context; with `allowCreate`, makes it when there is none. By name, so a repetition finds the same one.
    GET_CONTEXT = GET "/sdk/GetContext" Endpoint ["id", "name", "allowCreate", "loginRegionId"] Safe;
    /// Lists contexts.
    LIST_CONTEXTS = GET "/sdk/ListContexts" Endpoint ["maxResults", "nextToken"] Safe;
    /// Renames a context.
    MODIFY_CONTEXT = POST "/sdk/ModifyContext" Endpoint ["id", "name"] Safe;
    /// Deletes a context. A repetition would say "not found", which is no longer the truth of the first.
    DELETE_CONTEXT = POST "/sdk/DeleteContext" Endpoint ["id"] Reconcile;
    /// Clears a context. A repetition would delete what was written since.
    CLEAR_CONTEXT = POST "/sdk/ClearContext" Endpoint ["id"] Reconcile;
    /// Lists files of a context.
    DESCRIBE_CONTEXT_FILES = POST "/sdk/DescribeContextFiles" Endpoint
        ["contextId", "parentFolderPath", "pageNumber", "pageSize"] Safe;
    /// Deletes a file of a context. A repetition would delete a file written since.
    DELETE_CONTEXT_FILE = POST "/sdk/DeleteContextFile" Endpoint ["contextId", "filePath"] Reconcile;
    /// Makes a URL to write to.
    GET_CONTEXT_FILE_UPLOAD_URL = POST "/sdk/GetContextFileUploadUrl" Endpoint ["contextId", "filePath"] Safe;
    /// Makes a URL to read from.
    GET_CONTEXT_FILE_DOWNLOAD_URL = POST "/sdk/GetContextFileDownloadUrl" Endpoint ["contextId", "filePath"] Safe;

    // Sessions.
    /// Creates a session. A repetition would make, and bill, a second one.
    CREATE_SESSION = POST "/mcp/createSession" Endpoint ["imageId", "sdkStats"] Reconcile;
    /// Describes a session.
    GET_SESSION = POST "/mcp/getSession" Endpoint [] Safe;
    /// Tells the status of a session.
    GET_SESSION_INFO = POST "/mcp/getSessionInfo" Endpoint [] Safe;
    /// Lists sessions.
    LIST_SESSION = GET "/sdk/ListSession" Endpoint ["maxResults", "nextToken", "labels", "isAll"] Safe;
    /// Releases a session and returns at once. Session ids are not used again, so a repetition does no harm.
    RELEASE_SESSION_ASYNC = POST "/mcp/releaseSessionAsync" Endpoint [] Safe;
    /// Releases a session; the older call.
    RELEASE_SESSION = POST "/mcp/releaseSession" Endpoint [] Safe;
    /// Resets the idle timer.
    REFRESH_SESSION_IDLE_TIME = POST "/mcp/refreshSessionIdleTime" Endpoint ["sessionId"] Safe;
    /// Replaces the labels.
    SET_LABEL = POST "/sdk/SetLabel" Endpoint ["sessionId", "Labels"] Safe;
    /// Reads the labels.
    GET_LABEL = GET "/sdk/GetLabel" Endpoint ["sessionId", "maxResults", "nextToken"] Safe;
    /// Makes a link to a port.
    GET_LINK = GET "/internet/getLink" Endpoint ["sessionId", "protocolType", "port"] Safe;
    /// Makes a link to the browser's debugging protocol.
    GET_CDP_LINK = POST "/internet/getCdpLink" Endpoint ["sessionId"] Safe;
    /// Describes the desktop.
    GET_MCP_RESOURCE = POST "/mcp/getMcpResource" Endpoint [] Safe;
    /// Starts the browser.
    INIT_BROWSER = POST "/browser/init" Endpoint ["sessionId", "persistentPath", "browserOption"] SafeWhenNotSent;
    /// Lists the tools of an image.
    LIST_TOOLS = POST "/mcp/listTools" Endpoint ["imageId"] Safe;
    /// Calls a tool.
    CALL_TOOL = POST "/mcp" Endpoint ["autoGenSession", "imageId"] Never;
    /// Calls a tool without the way through AGB's endpoint.
    CALL_TOOL_DIRECT = POST "/callTool" SessionLink [] Never;
    /// Loads AGB's own contexts.
    GET_AND_LOAD_INTERNAL_CONTEXT = POST "/sdk/GetAndLoadInternalContext" Endpoint
        ["sessionId", "contextTypes"] Safe;

    // The storage behind presigned URLs.
    /// Writes a file as a whole.
    PUT_FILE = PUT "/PutFile" PresignedUrl [] Safe;
    /// Reads a file.
    GET_FILE = GET "/GetFile" PresignedUrl [] Safe;

    // Synchronisation.
    /// Starts tasks. A repetition would start them again.
    SYNC_CONTEXT = POST "/sdk/SyncContext" Endpoint ["sessionId", "contextId", "path", "mode"] Reconcile;
    /// Looks at tasks.
    GET_CONTEXT_INFO = GET "/sdk/GetContextInfo" Endpoint ["sessionId", "contextId", "path", "taskType"] Safe;
}

const fn last_part(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut start = bytes.len();
    while start > 0 && bytes[start - 1] != b'/' {
        start -= 1;
    }
    path.split_at(start).1
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_the_last_part_of_the_path() {
        assert_eq!(GET_CONTEXT.name, "GetContext");
        assert_eq!(CALL_TOOL.name, "mcp");
    }

    #[test]
    fn every_verb_has_its_name() {
        for operation in ALL {
            assert_eq!(operation.method_name(), operation.method.as_str());
        }
    }

    #[test]
    fn no_path_stands_in_the_table_twice() {
        let paths: HashSet<_> = ALL.iter().map(|operation| operation.path).collect();
        assert_eq!(paths.len(), ALL.len());
    }

    #[test]
    fn what_runs_callers_code_or_makes_something_new_is_never_simply_repeated() {
        for operation in [
            CALL_TOOL,
            CALL_TOOL_DIRECT,
            CREATE_SESSION,
            SYNC_CONTEXT,
            CLEAR_CONTEXT,
        ] {
            assert_ne!(
                operation.idempotency,
                Idempotency::Safe,
                "{}",
                operation.name
            );
        }
    }
}
