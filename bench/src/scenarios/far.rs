//! AGB is 20 ms away and speaks TLS: a call through the gateway, which keeps connections, beside the same call by the SDK.

use super::{World, get_sessions, same_answer, spread};
use crate::Failure;
use crate::contenders::{SdkFigures, Telling, start_upstream, target};
use crate::load::{Measured, closed};
use crate::process::Server;
use crate::report::{Cell, Report, Section, Spread, Target};

const MANY: usize = 16;

pub(crate) async fn measure(world: &mut World, report: &mut Report) -> Result<(), Failure> {
    let folder = world.bench.folder.clone();
    let paths = ["ca.pem", "key.pem"].map(|name| folder.join(name));
    let [ca, key] = &paths;
    let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(ca, certificate.cert.pem())?;
    std::fs::write(key, certificate.signing_key.serialize_pem())?;
    let [ca_text, key_text] = paths.each_ref().map(|path| path.to_string_lossy());
    let upstream = start_upstream(&["--certificate", &ca_text, "--key", &key_text])?;
    let relay = Server::start(&["relay", "--to", &upstream.address.to_string()])?;
    let url = format!("https://localhost:{}", relay.address.port());
    let collector = world.collector.url();
    let gateway = world.bench.start_gateway(
        "far",
        &url,
        Telling::Everything {
            collector: &collector,
        },
        &[("AGB_GATEWAY_AGB__CA_FILE", &*ca_text)],
    )?;
    let instead = match &world.bench.python {
        None => None,
        Some(python) => Some(world.bench.start_python(python, &url, Some(ca))?),
    };
    let work = get_sessions(1);
    let mut compared = vec![gateway.target()];
    compared.extend(instead.as_ref().map(target));
    same_answer(&compared, &work).await?;
    let mut ours = [Vec::new(), Vec::new()];
    let mut theirs = [Vec::new(), Vec::new()];
    let mut python_servers = [Vec::new(), Vec::new()];
    for _ in 0..world.settings.rounds {
        for (index, streams) in [1, MANY].into_iter().enumerate() {
            let shape = world.settings.shape(1, streams);
            ours[index].push(closed(&gateway.target(), &work, shape).await?);
            if let Some(instead) = &instead {
                python_servers[index].push(closed(&target(instead), &work, shape).await?);
            }
            if let Some(python) = &world.bench.python {
                let duration = world.settings.duration;
                let sdk = world.bench.sdk(python, &url, Some(ca), streams, duration)?;
                theirs[index].push(sdk);
            }
        }
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (index, callers) in [1, MANY].into_iter().enumerate() {
        for (name, rounds) in [
            ("through the gateway", &ours[index]),
            ("through grpc.aio around the SDK", &python_servers[index]),
        ] {
            if !rounds.is_empty() {
                rows.push(vec![
                    format!("{name}, {callers} at once").into(),
                    spread(rounds, Measured::per_second).into(),
                    spread(rounds, |round| round.percentile(50.0)).into(),
                    spread(rounds, |round| round.percentile(99.0)).into(),
                ]);
            }
        }
        if !theirs[index].is_empty() {
            rows.push(by_sdk(callers, &theirs[index]));
        }
    }
    report.sections.push(Section {
        title: "AGB 20 ms away, in TLS".to_owned(),
        note: "GetSession. A relay adds the round trip; a new connection waits for one more, as TCP's handshake does."
            .to_owned(),
        columns: vec!["", "calls/s", "p50 µs", "p99 µs"],
        rows,
    });
    if !theirs[0].is_empty() {
        let ratios = ours[0].iter().zip(&theirs[0]);
        let ratios = ratios.map(|(ours, theirs)| ours.percentile(50.0) / theirs.p50_us);
        report.targets.push(Target::at_most(
            "time of a call at 20 ms with TLS, of the SDK's",
            0.5,
            Spread::of(ratios),
        ));
    }
    gateway.process.drain()?;
    near_sdk(world, report)
}

fn by_sdk(threads: usize, rounds: &[SdkFigures]) -> Vec<Cell> {
    let of = |figure: fn(&SdkFigures) -> f64| Spread::of(rounds.iter().map(figure)).into();
    vec![
        format!("the official SDK, threads: {threads}").into(),
        of(|round| round.calls_per_second),
        of(|round| round.p50_us),
        of(|round| round.p99_us),
    ]
}

/// The SDK without any gateway, on loopback.
fn near_sdk(world: &World, report: &mut Report) -> Result<(), Failure> {
    let Some(python) = &world.bench.python else {
        return Ok(());
    };
    let mut rows = Vec::new();
    for threads in [1, MANY] {
        let url = world.upstream.url();
        let duration = world.settings.duration;
        let rounds: Vec<_> = (0..world.settings.rounds)
            .map(|_| world.bench.sdk(python, &url, None, threads, duration))
            .collect::<Result<_, _>>()?;
        rows.push(by_sdk(threads, &rounds));
    }
    report.sections.push(Section {
        title: "The official SDK called directly, on loopback".to_owned(),
        note: "GetSession, plain HTTP.".to_owned(),
        columns: vec!["", "calls/s", "p50 µs", "p99 µs"],
        rows,
    });
    Ok(())
}
