//! The fault matrix: every RPC under every fault, by real gRPC and real HTTP.
//!
//! `table.rs` says what must come of each fault by the class of the operation that it strikes, `rows/` which operations an RPC
//! asks for, and `overrides.rs` where a row differs from its class, and why. No case is written by hand.

#![allow(clippy::unwrap_used)] // A test that unwraps in vain has failed, which is right.

#[path = "../canary/mod.rs"]
mod canary;
mod case;
mod fault;
mod overrides;
mod row;
mod rows;
mod support;
mod table;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use agb_gateway::proto::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use case::Case;
use rows::ASKING_NOTHING;
use support::{Agb, Through, World};

/// How many AGBs there are at once. Most cases wait more than they work.
const WORLDS: usize = 16;

#[test]
fn every_rpc_has_a_row() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let own = set
        .file
        .iter()
        .filter(|file| file.package() == "agb.gateway.v1");
    let services = own.flat_map(|file| &file.service);
    let rpcs: BTreeSet<_> = services
        .flat_map(|service| {
            let methods = service.method.iter();
            methods.map(|method| format!("{}/{}", service.name(), method.name()))
        })
        .collect();
    let struck = rows::all().filter(|row| row.first).map(|row| row.rpc);
    let quiet = ASKING_NOTHING.iter().map(|(rpc, _)| *rpc);
    let covered: BTreeSet<_> = struck.chain(quiet).map(str::to_owned).collect();
    assert_eq!(rpcs, covered);
}

#[test]
fn every_override_belongs_to_a_row() {
    assert_eq!(overrides::without_a_row(), Vec::<&str>::new());
}

#[tokio::test]
async fn what_asks_agb_nothing_answers_whatever_is_wrong_with_it() {
    let world = World::start().await;
    let fixture = world.prepare().await;
    let asked = world.emulator.request_counts();
    for through in [Through::Refused, Through::PlainPort, Through::Usual] {
        for (rpc, call) in ASKING_NOTHING {
            let answer = call(world.through(through).await, fixture.clone()).await;
            assert!(answer.is_ok(), "{rpc} through {through:?}: {answer:?}");
        }
    }
    assert_eq!(world.emulator.request_counts(), asked);
    assert_eq!(world.plain_port.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_rpc_under_every_fault() {
    let cases = Case::all();
    let count = cases.len();
    let queue = Arc::new(Mutex::new(VecDeque::from(cases)));
    let problems = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for _ in 0..WORLDS {
        let (queue, problems) = (queue.clone(), problems.clone());
        workers.spawn(async move {
            let world = World::start().await;
            let others: [OnceCell<World>; 3] = Default::default();
            loop {
                let next = queue.lock().unwrap().pop_front();
                let Some(case) = next else { return };
                let other = || World::start_with(case.agb());
                let world = match case.agb() {
                    Agb::Usual => &world,
                    Agb::Ahead => others[0].get_or_init(other).await,
                    Agb::Behind => others[1].get_or_init(other).await,
                    Agb::Forgetful => others[2].get_or_init(other).await,
                };
                if let Err(problem) = case.check(world).await {
                    problems.lock().unwrap().push(problem);
                }
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    let problems = problems.lock().unwrap();
    assert!(
        problems.is_empty(),
        "{} of {count} cases:\n{}",
        problems.len(),
        problems.join("\n")
    );
}
