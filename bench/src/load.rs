//! The load: calls over plain HTTP/2 with as little of its own as can be, in a closed loop (each stream calls again when it is
//! answered) or an open one (calls come when they come, and are timed from the moment when they should have begun).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::SendRequest;
use hdrhistogram::Histogram;
use http::Request;
use prost::Message;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Failure;
use crate::process::cpu_seconds;

/// The windows of a client that reads all it gets.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 24;

/// Who is called, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// The bearer token, where one is needed.
    pub(crate) token: Option<String>,
    /// Whose CPU time counts.
    pub(crate) pid: u32,
}

/// What is called: the n-th call's message, framed.
pub(crate) type Messages = Arc<dyn Fn(u64) -> Bytes + Send + Sync>;

/// A message as gRPC frames it.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(length + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put(message.encode_to_vec().as_slice());
    bytes.freeze()
}

/// A method, and its messages.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) path: &'static str,
    pub(crate) messages: Messages,
}

/// How many at once, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) calls: f64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// In microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.calls / self.seconds
    }

    /// Microseconds of the server's CPU time for one call.
    pub(crate) fn cpu_per_call(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.calls
    }

    /// Microseconds that so many percent of the calls did not exceed.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        self.latency.value_at_percentile(percent) as f64
    }
}

/// A connection to who is called.
#[derive(Clone)]
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
    head: Request<()>,
}

impl Connection {
    pub(crate) async fn open(target: &Target, path: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let handshake = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(stream);
        let (send, connection) = handshake.await?;
        tokio::spawn(connection);
        let mut head = Request::post(format!("http://{}{path}", target.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "agb-gateway-bench");
        if let Some(token) = &target.token {
            head = head.header("authorization", format!("Bearer {token}"));
        }
        Ok(Self {
            send,
            head: head.body(())?,
        })
    }

    /// One call with one answer. Any status but OK is an error.
    pub(crate) async fn call(&self, message: Bytes) -> Result<(), Failure> {
        self.take(message, |_| ()).await
    }

    /// The answer to one call, as gRPC frames it.
    pub(crate) async fn answer(&self, message: Bytes) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        self.take(message, |data| all.extend_from_slice(data))
            .await?;
        Ok(all)
    }

    async fn take(&self, message: Bytes, mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
        let mut answer = self.begin(message).await?;
        while let Some(data) = answer.body.data().await {
            let data = data?;
            each(&data);
            answer.body.flow_control().release_capacity(data.len())?;
        }
        let trailers = answer.body.trailers().await?;
        let trailers = trailers.as_ref().unwrap_or(&answer.headers);
        match trailers.get("grpc-status").map(http::HeaderValue::as_bytes) {
            Some(b"0") => Ok(()),
            _ => Err(format!("a call failed: {trailers:?}").into()),
        }
    }

    /// Begins a call, up to the headers of its answer.
    pub(crate) async fn begin(&self, message: Bytes) -> Result<Answer, Failure> {
        let mut send = self.send.clone().ready().await?;
        let (response, mut body) = send.send_request(self.head.clone(), false)?;
        body.send_data(message, true)?;
        let (head, body) = response.await?.into_parts();
        Ok(Answer {
            headers: head.headers,
            body,
        })
    }
}

/// An answer that is under way.
pub(crate) struct Answer {
    headers: http::HeaderMap,
    pub(crate) body: h2::RecvStream,
}

async fn open_all(
    target: &Target,
    work: &Work,
    connections: usize,
) -> Result<Vec<Connection>, Failure> {
    let mut all = Vec::new();
    for _ in 0..connections {
        all.push(Connection::open(target, work.path).await?);
    }
    Ok(all)
}

#[derive(Default)]
struct Phase {
    is_measured: AtomicBool,
    has_ended: AtomicBool,
}

/// Calls from so many streams, each as soon as it is answered.
pub(crate) async fn closed(
    target: &Target,
    work: &Work,
    shape: Shape,
) -> Result<Measured, Failure> {
    let connections = open_all(target, work, shape.connections).await?;
    let phase = Arc::new(Phase::default());
    let mut streams = JoinSet::new();
    for stream in 0..shape.streams {
        let connection = connections[stream % connections.len()].clone();
        let (phase, messages) = (phase.clone(), work.messages.clone());
        let stride = shape.streams as u64;
        streams.spawn(async move {
            let mut latencies = Vec::new();
            let mut number = stream as u64;
            while !phase.has_ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                connection.call(messages(number)).await?;
                if phase.is_measured.load(Ordering::Relaxed) {
                    latencies.push(micros(begun.elapsed()));
                }
                number += stride;
            }
            Ok::<_, Failure>(latencies)
        });
    }
    tokio::time::sleep(shape.warm_up).await;
    let (begun, cpu) = (Instant::now(), cpu_seconds(target.pid)?);
    phase.is_measured.store(true, Ordering::Relaxed);
    tokio::time::sleep(shape.duration).await;
    phase.is_measured.store(false, Ordering::Relaxed);
    let (seconds, cpu) = (
        begun.elapsed().as_secs_f64(),
        cpu_seconds(target.pid)? - cpu,
    );
    phase.has_ended.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    while let Some(stream) = streams.join_next().await {
        latencies.append(&mut stream??);
    }
    measured(&latencies, seconds, cpu)
}

/// Calls at a rate, whether or not those before have been answered; at random moments, the same for each `seed`.
pub(crate) async fn open(
    target: &Target,
    work: &Work,
    shape: Shape,
    rate: f64,
    seed: u64,
) -> Result<Measured, Failure> {
    let connections = open_all(target, work, shape.connections).await?;
    let (keeps_time, mut due) = tokio::sync::mpsc::unbounded_channel();
    let start = Instant::now();
    let measured_from = start + shape.warm_up;
    let end = measured_from + shape.duration;
    // A thread of its own keeps time: the runtime's timers are a millisecond coarse.
    std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut next = start;
        while next < end {
            next += Duration::from_secs_f64(-(1.0 - random.f64()).ln() / rate);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            if keeps_time.send(next).is_err() {
                return;
            }
        }
    });
    let mut calls = JoinSet::new();
    let mut number = 0;
    let mut cpu_before = None;
    while let Some(intended) = due.recv().await {
        if cpu_before.is_none() && intended >= measured_from {
            cpu_before = Some(cpu_seconds(target.pid)?);
        }
        let connection = connections[number % connections.len()].clone();
        let message = (work.messages)(number as u64);
        number += 1;
        calls.spawn(async move {
            connection.call(message).await?;
            Ok::<_, Failure>((intended, micros(intended.elapsed())))
        });
    }
    let cpu = cpu_seconds(target.pid)? - cpu_before.unwrap_or_default();
    let mut latencies = Vec::new();
    while let Some(call) = calls.join_next().await {
        let (intended, latency) = call??;
        if intended >= measured_from {
            latencies.push(latency);
        }
    }
    measured(&latencies, shape.duration.as_secs_f64(), cpu)
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn measured(latencies: &[u32], seconds: f64, cpu_seconds: f64) -> Result<Measured, Failure> {
    let mut latency = Histogram::new(3)?;
    for micros in latencies {
        latency.record(u64::from(*micros).max(1))?;
    }
    if latencies.is_empty() {
        return Err("no call was answered in time".into());
    }
    Ok(Measured {
        calls: latencies.len() as f64,
        seconds,
        cpu_seconds,
        latency,
    })
}
