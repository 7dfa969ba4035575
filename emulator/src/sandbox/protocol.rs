//! What the server and its helpers tell each other.
//!
//! Over the control socket, which is the first helpers' stdin, go an [`OuterSpec`] and a [`WorldSpec`], and one
//! [`Report`] comes back; closing it is the order to end the world. Then each request has a connection of its
//! own to the world: an [`Order`] goes in, and pieces come back, the last of them a [`Report`]. Closing that
//! is the order to end the request. A piece is its kind (one byte), its length (four bytes, little endian) and its bytes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::files::FileRequest;

/// Pieces beyond this many bytes are refused.
const MAX_PIECE_BYTES: usize = 64 * 1024 * 1024;
/// The kind and the length.
pub(super) const PREFIX_BYTES: usize = 5;
/// The socket in the session's folder on which the world takes requests. It is not to be seen in the world.
pub(super) const SOCKET: &str = "world.sock";

/// What the outer helper has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OuterSpec {
    /// The unprivileged user and group to become; `None` to stay who we are.
    pub(crate) become_ids: Option<(u32, u32)>,
}

/// What the world's first process has to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorldSpec {
    pub(crate) hostname: String,
}

/// A request and its bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// How many bytes a file may have at most.
    pub(crate) file_bytes: u64,
    pub(crate) request: Request,
}

/// What a world can be asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    Command(CommandSpec),
    Files(FileRequest),
    /// The measures of the machine, as JSON text.
    Metrics,
    /// A connection to a port on which something in the world listens. After [`Report::Connected`] the bytes
    /// are the connection's own.
    Connect(u16),
}

/// A command to run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CommandSpec {
    pub(crate) program: String,
    /// `{scratch}` in an argument stands for a folder of the command's own.
    pub(crate) arguments: Vec<String>,
    pub(crate) working_directory: String,
    pub(crate) environment: BTreeMap<String, String>,
    /// Put into the scratch folder before the command starts, by name.
    pub(crate) scratch_files: BTreeMap<String, String>,
    /// A file that the command may leave in its scratch folder, to come back with the report.
    pub(crate) result_file: Option<String>,
}

/// How it went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The world is there.
    Ready,
    /// The command ended; a death by signal counts as 128 and the signal's number, as in a shell.
    Exited {
        code: i32,
        result: Option<String>,
    },
    /// The request could not be begun in its world.
    NotStarted(String),
    /// The world could not be made.
    CannotIsolate(String),
    /// What a file tool says; the error is the tool's own.
    Answer(Result<String, String>),
    Connected,
}

/// The kinds of pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// JSON: a specification, an order or a report.
    Message,
    Stdout,
    Stderr,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Message => b'm',
            Self::Stdout => b'o',
            Self::Stderr => b'e',
        }
    }

    fn read(byte: u8) -> io::Result<Self> {
        match byte {
            b'm' => Ok(Self::Message),
            b'o' => Ok(Self::Stdout),
            b'e' => Ok(Self::Stderr),
            _ => Err(io::Error::other("an unknown kind of piece")),
        }
    }
}

pub(super) fn encode_piece(kind: Kind, bytes: &[u8]) -> io::Result<Vec<u8>> {
    if bytes.len() > MAX_PIECE_BYTES {
        return Err(io::Error::other("the request is too long"));
    }
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut piece = Vec::with_capacity(PREFIX_BYTES + bytes.len());
    piece.push(kind.byte());
    piece.extend(length.to_le_bytes());
    piece.extend(bytes);
    Ok(piece)
}

pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    encode_piece(Kind::Message, &serde_json::to_vec(message)?)
}

pub(super) fn read_prefix(prefix: [u8; PREFIX_BYTES]) -> io::Result<(Kind, usize)> {
    let [kind, length @ ..] = prefix;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_PIECE_BYTES {
        Err(io::Error::other("the piece is too long"))
    } else {
        Ok((Kind::read(kind)?, length))
    }
}

pub(super) fn decode<T: DeserializeOwned>(json: &[u8]) -> io::Result<T> {
    serde_json::from_slice(json).map_err(io::Error::from)
}

/// A helper's end of its socket.
pub(super) struct Control(UnixStream);

impl Control {
    /// Takes a copy of stdin that no child inherits.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let copy = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(UnixStream::from(copy)))
    }

    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut prefix = [0; PREFIX_BYTES];
        self.0.read_exact(&mut prefix)?;
        let (_, length) = read_prefix(prefix)?;
        let mut json = vec![0; length];
        self.0.read_exact(&mut json)?;
        decode(&json)
    }

    pub(super) fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.0.write_all(&encode(message)?)
    }

    pub(super) fn send_piece(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&encode_piece(kind, bytes)?)
    }

    /// Whether the server has closed its end; it says nothing else any more.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut scratch = [0; 64];
        !matches!(self.0.read(&mut scratch), Ok(count) if count > 0)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<UnixStream> for Control {
    fn from(stream: UnixStream) -> Self {
        Self(stream)
    }
}

impl From<Control> for OwnedFd {
    fn from(control: Control) -> Self {
        control.0.into()
    }
}

impl From<Control> for UnixStream {
    fn from(control: Control) -> Self {
        control.0
    }
}
