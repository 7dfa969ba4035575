//! What the matrix stands on: worlds, ways to their gateways, and scripted peers for what the emulator cannot do.

mod plain_port;
mod proxy;
mod state;
mod wire;
mod world;

pub(crate) use state::{Effect, State};
pub(crate) use wire::Wire;
pub(crate) use world::{FILE, Fixture, MOUNT, Through, World};
