//! What the server and its helpers tell each other over the control socket, which is the helpers' stdin.
//!
//! The server sends an [`OuterSpec`], then an [`InnerSpec`]; one [`Report`] comes back. A frame is its length
//! (four bytes, little endian) and JSON. Closing the socket is the order to end.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Frames beyond this many bytes are refused.
const MAX_FRAME_BYTES: usize = 32 * 1024 * 1024;

/// What the outer helper has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OuterSpec {
    /// The unprivileged user and group to become; `None` to stay who we are.
    pub(crate) become_ids: Option<(u32, u32)>,
}

/// What the inner helper has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InnerSpec {
    pub(crate) hostname: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) working_directory: String,
    pub(crate) environment: BTreeMap<String, String>,
}

/// How it went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The command ended; a death by signal counts as 128 and the signal's number, as in a shell.
    Exited(i32),
    /// The command could not be started in its world.
    NotStarted(String),
    /// The world could not be made.
    CannotIsolate(String),
}

pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    if json.len() > MAX_FRAME_BYTES {
        return Err(io::Error::other("the command is too long"));
    }
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(json);
    Ok(frame)
}

pub(super) fn frame_length(prefix: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_le_bytes(prefix) as usize;
    if length > MAX_FRAME_BYTES {
        Err(io::Error::other("the frame is too long"))
    } else {
        Ok(length)
    }
}

pub(super) fn decode<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(io::Error::from)
}

/// A helper's end of the control socket.
pub(super) struct Control(UnixStream);

impl Control {
    /// Takes a copy of stdin that no child inherits.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let copy = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(UnixStream::from(copy)))
    }

    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut prefix = [0; 4];
        self.0.read_exact(&mut prefix)?;
        let mut json = vec![0; frame_length(prefix)?];
        self.0.read_exact(&mut json)?;
        decode(&json)
    }

    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.0.write_all(&encode(message)?)
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Returns when the server has closed its end, or died.
    pub(super) fn wait_until_closed(&mut self) {
        let mut scratch = [0; 64];
        while matches!(self.0.read(&mut scratch), Ok(count) if count > 0) {}
    }
}
