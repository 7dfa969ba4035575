//! The emulator as a program of its own, in the hands of a test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Client;

/// A running program, killed at the end of the test if it still runs.
pub struct Program {
    pub child: Child,
    pub client: Client,
}

impl Program {
    /// Starts the program with a temporary folder of its own and these arguments beside the address.
    pub fn start<A: AsRef<OsStr>>(temporary: &Path, arguments: &[A]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_agb-emulator"))
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("TMPDIR", temporary)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let url = line
            .trim()
            .strip_prefix("listening on ")
            .expect("the address")
            .to_owned();
        Self {
            child,
            client: Client::at(url, "key"),
        }
    }

    /// Starts the program with a data directory, and all else it has below the same folder.
    pub fn with_data(folder: &Path) -> Self {
        Self::start(
            folder,
            &[OsStr::new("--data-dir"), folder.join("data").as_os_str()],
        )
    }

    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("the program is there");
    }

    /// Ends the program as a power cut would, as far as it can tell.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("it ends");
    }

    /// The most memory that the program had at any time, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the program is there");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("its peak");
        peak.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
