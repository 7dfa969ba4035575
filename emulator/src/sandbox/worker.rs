//! A worker: a process of the world that carries out one request and reports how it went.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::thread;

use nix::sys::prctl;
use nix::sys::resource::Resource;

use super::first::{MAX_PROCESSES, limit};
use super::protocol::{Control, Order, Report, Request};
use super::{command, files, metrics};

pub(super) fn run() -> ! {
    let Ok(mut server) = Control::from_stdin() else {
        exit(1)
    };
    // What the session's processes must not look into.
    let closed = prctl::set_dumpable(false).is_ok();
    let Ok(order) = server.receive::<Order>() else {
        exit(1)
    };
    if !closed || limit(Resource::RLIMIT_NPROC, MAX_PROCESSES).is_err() {
        let _ = server.send(&Report::CannotIsolate(
            "the limits cannot be set".to_owned(),
        ));
        exit(1)
    }
    let _ = match order.request {
        Request::Command(spec) => command::run(server, &spec, order.file_bytes),
        Request::Files(request) => {
            let answer = files::answer(&request, order.file_bytes);
            server.send(&Report::Answer(answer))
        }
        Request::Metrics => {
            let answer = metrics::read().map_err(|error| error.to_string());
            server.send(&Report::Answer(answer))
        }
        Request::Connect(port) => connect(server, port),
    };
    exit(0)
}

fn connect(mut server: Control, port: u16) -> io::Result<()> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Err(error) => server.send(&Report::NotStarted(format!(
            "nothing answers on port {port} of the session: {error}"
        ))),
        Ok(inside) => {
            server.send(&Report::Connected)?;
            relay(UnixStream::from(server), inside)
        }
    }
}

/// Passes the bytes both ways until both sides have ended.
fn relay(mut outside: UnixStream, mut inside: TcpStream) -> io::Result<()> {
    let (mut from_outside, mut to_inside) = (outside.try_clone()?, inside.try_clone()?);
    let inwards = thread::spawn(move || {
        let _ = io::copy(&mut from_outside, &mut to_inside);
        let _ = to_inside.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut inside, &mut outside);
    let _ = outside.shutdown(Shutdown::Write);
    let _ = inwards.join();
    Ok(())
}
