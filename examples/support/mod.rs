//! A gateway in a process of its own, and how much memory it takes.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The gateway's process; it ends with the measurement.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) address: String,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Gateway {
    /// Starts it in front of the AGB at `endpoint`, and waits until it serves.
    #[allow(dead_code)] // Not every measurement asks for it.
    pub(crate) fn start(program: &Path, endpoint: &str) -> Result<Self, Failure> {
        Self::start_with(program, endpoint, &[])
    }

    /// The same with further settings, by the names of their variables.
    pub(crate) fn start_with(
        program: &Path,
        endpoint: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        let mut process = Command::new(program)
            .arg("serve")
            .env("AGB_API_KEY", "measurement")
            .env("AGB_ENDPOINT", endpoint)
            .env("AGB_GATEWAY_SERVER__LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()?;
        let logs = process.stderr.take().ok_or("no logs")?;
        let mut gateway = Self {
            process,
            address: String::new(),
        };
        let mut lines = BufReader::new(logs).lines();
        while let Some(line) = lines.next().transpose()? {
            let event: serde_json::Value = serde_json::from_str(&line)?;
            if event["message"] == "serving" {
                let address = event["address"].as_str().ok_or("no address")?;
                address.clone_into(&mut gateway.address);
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(gateway);
            }
        }
        Err("the gateway did not start".into())
    }

    /// Tells it to end, as an orchestrator does, and waits until it has.
    #[allow(dead_code)] // Not every measurement asks for it.
    pub(crate) fn drain(mut self) -> Result<(), Failure> {
        let pid = self.process.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status()?;
        let status = self.process.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("the gateway ended with {status}").into())
        }
    }

    /// Its resident memory now, in MiB.
    #[allow(dead_code)] // Not every measurement asks for it.
    pub(crate) fn resident_mib(&self) -> Result<i64, Failure> {
        self.memory_mib("VmRSS:")
    }

    /// The most resident memory that it has had so far, in MiB.
    #[allow(dead_code)] // Not every measurement asks for it.
    pub(crate) fn peak_mib(&self) -> Result<i64, Failure> {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, field: &str) -> Result<i64, Failure> {
        memory_mib(self.process.id(), field)
    }
}

/// What `/proc` tells of a process's memory, in MiB.
pub(crate) fn memory_mib(pid: u32, field: &str) -> Result<i64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .ok_or("no such field")?;
    let kib: i64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024)
}
