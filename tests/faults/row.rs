//! A row: one RPC, and one of AGB's operations that it calls, which is struck.

use futures_util::future::BoxFuture;
use tonic::Status;

use crate::support::{Effect, Fixture, Wire};

/// Whether the operation may be repeated. Written down here once more: a row of the gateway's own table that changes must be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// It may always be.
    Safe,
    /// It may be when AGB has certainly not done it: `SafeWhenNotSent` and `Reconcile`.
    Once,
    /// It may not be.
    Never,
    /// A look of someone who waits: a look that fails is borne until the deadline, and the next look is its repetition.
    Look,
}

/// What a call is about: so is the reason of a 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Nothing,
    Context,
    Session,
    File,
}

/// Which part of AGB is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Endpoint,
    Storage,
}

pub(crate) type Call = fn(Wire, Fixture) -> BoxFuture<'static, Result<(), Status>>;

/// One RPC and one operation of AGB.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) rpc: &'static str,
    /// As the emulator names it.
    pub(crate) operation: &'static str,
    pub(crate) class: Class,
    pub(crate) about: About,
    pub(crate) effect: Effect,
    pub(crate) call: Call,
    /// Whether it is what the RPC asks AGB first.
    pub(crate) first: bool,
    /// Answers that AGB gives instead of its own, by operation: where this machine lacks a browser, or a way must be forced.
    pub(crate) stand_ins: &'static [(&'static str, &'static str)],
    /// How often more than once a call that succeeds asks for the operation, at least; `None`: exactly once.
    pub(crate) more: Option<u64>,
    /// What the RPC has done before it comes to the operation.
    pub(crate) earlier: Effect,
    /// What the RPC does afterwards, when all goes well.
    pub(crate) rest: Effect,
    /// What is left of what the RPC had done before, when all does not go well.
    pub(crate) left: Effect,
}

impl Row {
    pub(crate) const fn new(
        rpc: &'static str,
        operation: &'static str,
        class: Class,
        about: About,
        effect: Effect,
        call: Call,
    ) -> Self {
        Self {
            rpc,
            operation,
            class,
            about,
            effect,
            call,
            first: true,
            stand_ins: &[],
            more: None,
            earlier: Effect::Nothing,
            rest: Effect::Nothing,
            left: Effect::Nothing,
        }
    }

    /// Something else is asked before.
    pub(crate) const fn later(mut self) -> Self {
        self.first = false;
        self
    }

    pub(crate) const fn standing_in(
        mut self,
        stand_ins: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.stand_ins = stand_ins;
        self
    }

    /// A call that succeeds asks for the operation so often more, at least.
    pub(crate) const fn and_more(mut self, times: u64) -> Self {
        self.more = Some(times);
        self
    }

    pub(crate) const fn after(mut self, effect: Effect) -> Self {
        self.earlier = effect;
        self.later()
    }

    /// When the call fails, this is left of what it had done before.
    pub(crate) const fn leaving(mut self, effect: Effect) -> Self {
        self.left = effect;
        self
    }

    pub(crate) const fn before(mut self, effect: Effect) -> Self {
        self.rest = effect;
        self
    }

    pub(crate) fn part(&self) -> Part {
        match self.operation {
            "StorageUpload" | "StorageDownload" => Part::Storage,
            _ => Part::Endpoint,
        }
    }
}

/// A call of one message and one answer.
macro_rules! unary {
    ($client:ident . $method:ident, |$fixture:pat_param| $request:expr) => {
        |wire, $fixture| {
            let request = $request;
            Box::pin(async move {
                let answer = $client::new(wire).$method(request).await;
                answer.map(drop)
            })
        }
    };
}

/// A call whose answer is a stream, which is read to its end.
macro_rules! server_stream {
    ($client:ident . $method:ident, |$fixture:pat_param| $request:expr) => {
        |wire, $fixture| {
            let request = $request;
            Box::pin(async move {
                let mut answers = $client::new(wire).$method(request).await?.into_inner();
                while answers.message().await?.is_some() {}
                Ok(())
            })
        }
    };
}

/// A call with a stream of messages.
macro_rules! client_stream {
    ($client:ident . $method:ident, |$fixture:pat_param| $messages:expr) => {
        |wire, $fixture| {
            let messages = tokio_stream::iter($messages);
            Box::pin(async move {
                let answer = $client::new(wire).$method(messages).await;
                answer.map(drop)
            })
        }
    };
}

pub(crate) use {client_stream, server_stream, unary};
