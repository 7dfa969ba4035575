//! What has to be there before anything can be measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::Failure;
use crate::contenders::Bench;

/// Finds or builds all programs, and makes a folder for the run.
pub(crate) fn bench(gateway: Option<&Path>, with_python: bool) -> Result<Bench, Failure> {
    // A connection takes a descriptor here and one in the gateway, which inherits this.
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let folder = std::env::current_exe()?
        .ancestors()
        .nth(2)
        .ok_or("this program lies nowhere")?
        .join("bench");
    std::fs::create_dir_all(&folder)?;
    let tokens = folder.join("tokens");
    if tokens.exists() {
        std::fs::remove_file(tokens)?;
    }
    Ok(Bench {
        gateway: match gateway {
            Some(gateway) => gateway.canonicalize()?,
            None => built()?,
        },
        other: None,
        python: with_python.then(|| python(&folder)).transpose()?,
        folder,
    })
}

fn root() -> &'static Path {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    bench.parent().unwrap_or(bench)
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?} ended with {status}").into())
}

/// The gateway as it ships: without the emulator.
fn built() -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .current_dir(root())
        .args(["build", "--release", "--locked", "--no-default-features"])
        .args(["--package", "agb-gateway", "--bin", "agb-gateway"]))?;
    let target = std::env::current_exe()?;
    let target = target.ancestors().nth(2).ok_or("no target folder")?;
    Ok(target.join("release").join("agb-gateway"))
}

/// A Python of its own with what `requirements.txt` names, and what protoc makes of the protos.
fn python(folder: &Path) -> Result<PathBuf, Failure> {
    let requirements = root().join("bench/python/requirements.txt");
    let (environment, installed) = (folder.join("venv"), folder.join("installed.txt"));
    let python = environment.join("bin/python");
    if std::fs::read(&installed).ok() != Some(std::fs::read(&requirements)?) {
        let system = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
        run(Command::new(system)
            .args(["-m", "venv", "--clear"])
            .arg(&environment))?;
        run(Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(&requirements))?;
        std::fs::copy(&requirements, &installed)?;
    }
    let made = folder.join("python");
    std::fs::create_dir_all(&made)?;
    let protos = root().join("proto");
    let mut compiler = Command::new(&python);
    compiler.args(["-m", "grpc_tools.protoc"]);
    for (flag, path) in [
        ("-I", &protos),
        ("--python_out=", &made),
        ("--grpc_python_out=", &made),
    ] {
        compiler.arg(format!("{flag}{}", path.display()));
    }
    for entry in std::fs::read_dir(protos.join("agb/gateway/v1"))? {
        compiler.arg(entry?.path());
    }
    run(&mut compiler)?;
    Ok(python)
}

/// The machine's shape.
pub(crate) fn machine() -> Result<String, Failure> {
    let field = |file: &str, name: &str| -> Result<String, Failure> {
        let text = std::fs::read_to_string(file)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line
            .and_then(|line| line.split_once(':'))
            .map(|line| line.1);
        Ok(value.unwrap_or("unknown").trim().to_owned())
    };
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned();
    Ok(format!(
        "{cores} cores ({}), memory {}, Linux {}, load {load} at the beginning",
        field("/proc/cpuinfo", "model name")?,
        field("/proc/meminfo", "MemTotal")?,
        std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
    ))
}
