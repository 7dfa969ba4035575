//! A gateway in a process of its own: where the machine around it must differ, by what it trusts or by what a name stands for.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::world::KEY;
use crate::canary;

const PROGRAM: &str = env!("CARGO_BIN_EXE_agb-gateway");

/// It ends with this.
pub(crate) struct Process {
    _child: Child,
    pub(crate) address: SocketAddr,
}

/// A gateway that trusts what the file `trusted` holds and nothing else.
pub(crate) async fn trusting(config: &Path, endpoint: String, trusted: &Path) -> Process {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").env("SSL_CERT_FILE", trusted);
    started(command, config, endpoint).await
}

/// A gateway whose machine finds hosts in the file `hosts`.
pub(crate) async fn finding_hosts_in(hosts: &Path, config: &Path, endpoint: String) -> Process {
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/hosts && exec \"$@\"")
        .arg(hosts)
        .args([PROGRAM, "serve"]);
    started(command, config, endpoint).await
}

async fn started(mut command: Command, config: &Path, endpoint: String) -> Process {
    let mut child = command
        .arg("--config")
        .arg(config)
        .env("AGB_API_KEY", KEY)
        .env("AGB_ENDPOINT", endpoint)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("it serves");
        canary::look_at(&line);
        let event: serde_json::Value = serde_json::from_str(&line).expect(&line);
        if event["message"] == "serving" {
            let address = event["address"].as_str().unwrap().parse().unwrap();
            // Somebody has to go on reading, or the program would block at a full pipe.
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    canary::look_at(&line);
                }
            });
            return Process {
                _child: child,
                address,
            };
        }
    }
}
