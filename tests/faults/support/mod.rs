//! What the matrix stands on: worlds, ways to their gateways, and scripted peers for what the emulator cannot do.

mod name;
mod plain_port;
mod process;
mod proxy;
mod state;
mod tls_port;
mod wire;
mod world;

pub(crate) use state::{Effect, State};
pub(crate) use wire::Wire;
pub(crate) use world::{Agb, FILE, Fixture, MOUNT, Through, World};
