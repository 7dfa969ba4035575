//! HTTP byte by byte, to see how an answer is cut and how a connection ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// What came of one request: the bytes that came, and how the connection ended.
#[derive(Debug)]
pub struct Raw {
    pub answer: String,
    pub end: End,
}

#[derive(Debug, PartialEq)]
pub enum End {
    /// By a FIN.
    Closed,
    /// By a RST.
    Reset,
    /// It did not.
    Open,
}

/// Sends these bytes over a connection of its own and reads until that ends, or until `enough` bytes have come.
pub async fn exchange(address: SocketAddr, request: Vec<u8>, enough: usize) -> Raw {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a limit is set");
        stream.write_all(&request).expect("the request is sent");
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        let end = loop {
            if answer.len() >= enough {
                break End::Open;
            }
            match stream.read(&mut buffer) {
                Ok(0) => break End::Closed,
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(error) => panic!("after {} bytes: {error}", answer.len()),
            }
        };
        // With a stalled answer, nothing more is there to be read.
        if end == End::Open {
            stream.set_nonblocking(true).expect("it does not wait");
            let rest = stream.read(&mut buffer).map_err(|error| error.kind());
            assert_eq!(rest, Err(ErrorKind::WouldBlock));
        }
        Raw {
            answer: String::from_utf8_lossy(&answer).into_owned(),
            end,
        }
    })
    .await
    .expect("an answer")
}
