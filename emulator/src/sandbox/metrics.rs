//! The measures of the machine that a session runs on, read in its world. The disk is the server's to tell.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use serde_json::json;

/// How long the rates are measured.
const SPAN: Duration = Duration::from_millis(100);
const KIB: u64 = 1024;

/// Counters since the machine, or the world's network, began.
struct Counters {
    busy: u64,
    all: u64,
    received: u64,
    sent: u64,
}

pub(super) fn read() -> io::Result<String> {
    let before = Counters::read()?;
    thread::sleep(SPAN);
    let after = Counters::read()?;
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let total = memory(&meminfo, "MemTotal:");
    let available = memory(&meminfo, "MemAvailable:");
    let cpus = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(json!({
        "cpu_count": cpus,
        "cpu_used_pct": percent(after.busy - before.busy, after.all - before.all),
        "mem_total": total,
        "mem_used": total.saturating_sub(available),
        "rx_rate_kbyte_per_s": rate(after.received - before.received),
        "tx_rate_kbyte_per_s": rate(after.sent - before.sent),
        "rx_used_kbyte": kib(after.received),
        "tx_used_kbyte": kib(after.sent),
        "timestamp": jiff::Timestamp::now().to_string(),
    })
    .to_string())
}

impl Counters {
    fn read() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let (busy, all) = cpu(&stat);
        let (received, sent) = network(&fs::read_to_string("/proc/net/dev")?);
        Ok(Self {
            busy,
            all,
            received,
            sent,
        })
    }
}

/// The ticks of all processors that were busy, and all ticks. Idle and waiting ones are the fourth and fifth.
fn cpu(stat: &str) -> (u64, u64) {
    let ticks: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    let all = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    (all - idle, all)
}

/// The bytes received and sent by all interfaces: the first and the ninth number.
fn network(devices: &str) -> (u64, u64) {
    devices
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(_, numbers)| {
            let number = |at| {
                let field: Option<&str> = numbers.split_whitespace().nth(at);
                field
                    .and_then(|field| field.parse::<u64>().ok())
                    .unwrap_or(0)
            };
            (number(0), number(8))
        })
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn memory(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0)
        * KIB
}

#[allow(clippy::cast_precision_loss)] // A share needs no more digits than it has.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 1000.0 / whole as f64).round() / 10.0
}

#[allow(clippy::cast_precision_loss)] // Nobody needs the last byte of a petabyte.
fn kib(bytes: u64) -> f64 {
    bytes as f64 / KIB as f64
}

fn rate(bytes: u64) -> f64 {
    kib(bytes) / SPAN.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        assert_eq!(cpu("cpu  10 0 5 80 5 0 0 0 7 7\ncpu0 1"), (15, 100));
        assert!((percent(15, 100) - 15.0).abs() < 0.01);
        let devices = "Inter-| head\n face |bytes\n lo: 100 1 0 0 0 0 0 0 200 2 0 0 0 0 0 0\n";
        assert_eq!(network(devices), (100, 200));
        assert_eq!(
            memory("MemTotal:  2 kB\nMemFree: 1 kB\n", "MemTotal:"),
            2048
        );
    }
}
