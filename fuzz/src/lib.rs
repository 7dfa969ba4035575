//! What the targets share: a gateway in this process, and an AGB that answers whatever it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use agb_gateway::app::Gateway;
use agb_gateway::config::Config;
use figment::Figment;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Channel, Endpoint};

/// The key that AGB gets.
pub const KEY: &str = "fuzz-key";

/// What is answered where nothing was told.
const NOTHING: &[u8] = b"{}";

/// One thread: what one input sets off is done, or waits, when its call has ended.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let built = Builder::new_current_thread().enable_all().build();
        built.expect("a runtime")
    });
    &RUNTIME
}

/// A running gateway, and the AGB that it asks.
pub struct World {
    /// To the gateway.
    pub channel: Channel,
    answers: Answers,
    _gateway: Gateway,
}

type Answers = Arc<Mutex<VecDeque<Vec<u8>>>>;

impl World {
    /// Does something with the one world of this process.
    pub fn with<T>(work: impl FnOnce(&Self, &Runtime) -> T) -> T {
        static WORLD: OnceLock<World> = OnceLock::new();
        let world = WORLD.get_or_init(|| runtime().block_on(Self::start()));
        work(world, runtime())
    }

    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers = Answers::default();
        tokio::spawn(serve(listener, answers.clone()));
        let settings = Figment::new()
            .merge(("server.listen", "127.0.0.1:0"))
            .merge(("server.max_deadline", "1s"))
            .merge(("server.default_deadline", "1s"))
            .merge(("agb.endpoint", format!("http://{address}")))
            // Wherever an answer may send the gateway, it arrives here.
            .merge(("agb.proxy", format!("http://{address}")))
            .merge(("server.deadline_reserve", "10ms"))
            .merge(("agb.max_attempts", 1))
            .merge(("agb.breaker_failures", 100_000))
            .merge(("sync.looks_per_second", 100_000))
            .merge(("session.sweep_interval", "0s"));
        let config = Config::read(&settings, Some(KEY.to_owned())).expect("a configuration");
        let gateway = Gateway::start(config).await.expect("a gateway");
        let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address()));
        let channel = endpoint.expect("a URL").connect().await;
        Self {
            channel: channel.expect("a connection"),
            answers,
            _gateway: gateway,
        }
    }

    /// The bodies of AGB's next answers; the last one is that of all further ones.
    pub fn answer(&self, bodies: impl IntoIterator<Item = Vec<u8>>) {
        *self.answers.lock().expect("the answers") = bodies.into_iter().collect();
    }
}

async fn serve(listener: TcpListener, answers: Answers) {
    while let Ok((stream, _address)) = listener.accept().await {
        let answers = answers.clone();
        tokio::spawn(async move {
            let _ended = converse(BufReader::new(stream), &answers).await;
        });
    }
}

/// HTTP/1.1, as far as the gateway's client speaks it.
async fn converse(mut stream: BufReader<TcpStream>, answers: &Answers) -> std::io::Result<()> {
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let answer = {
            let mut answers = answers.lock().expect("the answers");
            match answers.len() {
                0 => NOTHING.to_vec(),
                1 => answers[0].clone(),
                _ => answers.pop_front().unwrap_or_default(),
            }
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream
            .write_all(&[head.as_bytes(), &answer].concat())
            .await?;
    }
}
