//! The gateway in a process of its own that tells, when asked, how many tasks it has.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use agb_gateway::telemetry;
use tokio::runtime::Runtime;

use crate::support::{self, Failure};

/// Short, so that what a caller has left shows, and ends, within the run; caches that are full early do not look like a leak.
const SETTINGS: [(&str, &str); 10] = [
    ("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0"),
    ("AGB_GATEWAY_AGB__REQUEST_TIMEOUT", "5s"),
    ("AGB_GATEWAY_AGB__POOL_IDLE_TIMEOUT", "2s"),
    ("AGB_GATEWAY_SESSION__CREATION_LEASE", "5s"),
    ("AGB_GATEWAY_SESSION__EXPIRY_MARGIN", "5s"),
    ("AGB_GATEWAY_SESSION__CLOCK_SKEW", "1s"),
    ("AGB_GATEWAY_SESSION__SETTLE", "500ms"),
    ("AGB_GATEWAY_SESSION__SWEEP_INTERVAL", "5s"),
    ("AGB_GATEWAY_SYNC__LOOKS_PER_SECOND", "10000"),
    ("AGB_GATEWAY_SYNC__MEMORY_ENTRIES", "1000"),
];

/// Serves as the configuration of the environment says: tells its address, and then for each line on stdin its number of tasks. Ends
/// with stdin.
pub(crate) fn serve(runtime: &Runtime) -> Result<(), Failure> {
    let config = Config::load(None).map_err(|problems| problems.to_string())?;
    telemetry::start_logs(&config.log)?;
    let gateway = runtime.block_on(Gateway::start(config))?;
    println!("{}", gateway.address());
    for question in std::io::stdin().lines() {
        question?;
        println!("{}", runtime.metrics().num_alive_tasks());
    }
    Ok(())
}

/// What there is in the gateway's process at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) memory_mib: i64,
    pub(crate) descriptors: usize,
    pub(crate) tasks: usize,
}

impl fmt::Display for Reading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} MiB, {} descriptors, {} tasks",
            self.memory_mib, self.descriptors, self.tasks
        )
    }
}

/// The gateway's process; it ends with the measurement.
pub(crate) struct Host {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: String,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Host {
    /// Starts this program again, as the gateway in front of the AGB at `endpoint`, and waits until it serves.
    pub(crate) fn start(endpoint: &str) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("host")
            .env("AGB_API_KEY", "measurement")
            .env("AGB_ENDPOINT", endpoint)
            .envs(SETTINGS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It logs as it does in service; nobody reads it here.
            .stderr(Stdio::null())
            .spawn()?;
        let questions = process.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        let mut host = Self {
            process,
            questions,
            answers,
            address: String::new(),
        };
        host.address = host.line()?;
        Ok(host)
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the gateway has ended".into());
        }
        Ok(line.trim().to_owned())
    }

    pub(crate) fn read(&mut self) -> Result<Reading, Failure> {
        writeln!(self.questions)?;
        let tasks = self.line()?.parse()?;
        let pid = self.process.id();
        Ok(Reading {
            memory_mib: support::memory_mib(pid, "VmRSS:")?,
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
            tasks,
        })
    }
}
