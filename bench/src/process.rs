//! Processes that are measured, and what `/proc` tells of them. Each ends with the measurement.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Failure;

/// How long a gateway has to say where it listens. Under valgrind that takes its time.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// `/proc` counts CPU time in these, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Tells it to end in order, and waits until it has.
    pub(crate) fn drain(mut self) -> Result<(), Failure> {
        let id = self.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let status = self.0.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("a process ended with {status}").into())
    }
}

/// One of this program's servers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Starts this program with another command.
    pub(crate) fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        Self::start_command(command)
    }

    /// Starts a program that speaks as the servers of this program do.
    pub(crate) fn start_command(mut command: Command) -> Result<Self, Failure> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let questions = process.stdin.take().ok_or("no stdin")?;
        let mut answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        let process = Process(process);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ");
        let address = address.ok_or_else(|| format!("{command:?} did not start: {line:?}"))?;
        Ok(Self {
            process,
            address: address.parse()?,
            questions,
            answers,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets it end by itself, and waits until it has.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Self {
            mut process,
            questions,
            ..
        } = self;
        drop(questions);
        let status = process.0.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(format!("a server ended with {status}").into())
    }

    /// What it has counted.
    pub(crate) fn ask(&mut self) -> Result<Value, Failure> {
        writeln!(self.questions)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Starts a gateway, with its log in a file: where it listens, and how long it took to say so. The file is looked at until it says so:
/// a pipe would tell by itself, but would then have to be read during all that is measured.
pub(crate) fn start_gateway(
    mut command: Command,
    log: &Path,
) -> Result<(Process, SocketAddr, Duration), Failure> {
    let begun = Instant::now();
    let mut process = Process(
        command
            .stdin(Stdio::null())
            .stderr(File::create(log)?)
            .spawn()?,
    );
    while begun.elapsed() < START_TIMEOUT {
        let text = std::fs::read_to_string(log)?;
        let serving = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(event) = serving
            .into_iter()
            .find(|event| event["message"] == "serving")
        {
            let address = event["address"].as_str().ok_or("no address")?.parse()?;
            return Ok((process, address, begun.elapsed()));
        }
        if let Some(status) = process.0.try_wait()? {
            return Err(format!("the gateway ended with {status}: see {}", log.display()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("the gateway did not start: see {}", log.display()).into())
}

/// How much CPU time a process has taken, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in brackets, may hold spaces.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<f64, Failure> { Ok(fields.next().ok_or("no field")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// Its resident memory, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let text = line.ok_or("no VmRSS")?.trim().trim_end_matches("kB").trim();
    Ok(text.parse()?)
}
