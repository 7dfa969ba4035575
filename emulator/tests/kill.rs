//! The program is killed while it stores files, again and again. After each restart every file is whole: what was
//! acknowledged, or what was on its way.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use support::program::Program;
use support::{Client, eventually};
use tokio::time::{Duration, sleep};

const SEED: u64 = 0x0a9b;
/// `EMULATOR_KILL_ROUNDS` names another number.
const ROUNDS: usize = 6;
/// More than go to the context at once, so that a kill can fall in between.
const FILES: usize = 300;
const LINES: usize = 500;
/// One context stores files, the other an archive.
const MOUNTS: [(&str, &str); 2] = [("/tmp/files", "File"), ("/tmp/archive", "Archive")];

/// What each file may be, by its path.
type Model = BTreeMap<String, Versions>;

/// A version is the round that wrote it; `None` is to have no file.
#[derive(Clone, Copy, Debug, Default)]
struct Versions {
    stored: Option<usize>,
    on_its_way: Option<usize>,
}

/// When the program is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after the upload was accepted.
    After(Duration),
    /// When so many more blobs lie in the data directory.
    Blobs(usize),
    /// When the upload was called a success.
    Success,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("below the limit")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_that_was_acknowledged_and_halves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(SEED);
    let mut model = Model::new();
    let mut names = Vec::new();
    let (mut acknowledged, mut cut_off) = (0, 0);
    let rounds =
        std::env::var("EMULATOR_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let program = Program::with_data(folder.path());
        let client = &program.client;
        check_names(client, &names).await;
        let session = session(client).await;
        check_files(client, &session, &mut model).await;

        names.push(format!("context-{round}"));
        client.context(&names[round]).await;
        change(client, &session, round, &mut random, &mut model).await;
        let moment = match round % 3 {
            0 => Moment::Blobs(random.below(FILES)),
            1 => Moment::After(Duration::from_millis(random.below(500) as u64)),
            _ => Moment::Success,
        };
        let before = blobs(folder.path());
        sync(client, &session).await;
        let uploaded = reach(moment, client, &session, folder.path(), before).await;
        if uploaded {
            acknowledged += 1;
            for versions in model.values_mut() {
                versions.stored = versions.on_its_way;
            }
        } else {
            cut_off += 1;
        }
        program.kill();
    }
    assert!(acknowledged >= rounds / 3, "{acknowledged}");
    assert!(cut_off >= rounds / 3, "{cut_off}");
    let program = Program::with_data(folder.path());
    check_names(&program.client, &names).await;
    let session = session(&program.client).await;
    check_files(&program.client, &session, &mut model).await;
    let present = model.values().filter(|versions| versions.stored.is_some());
    assert!(present.count() > FILES);
}

async fn session(client: &Client) -> String {
    let mut mounts = Vec::new();
    for (path, mode) in MOUNTS {
        let policy = json!({ "uploadPolicy": { "uploadMode": mode } });
        mounts.push((client.context(mode).await, path, policy));
    }
    let mounts: Vec<_> = mounts
        .iter()
        .map(|(id, path, policy)| (id.as_str(), *path, policy.clone()))
        .collect();
    client.session_with("agb-code-space-1", &mounts).await
}

async fn check_names(client: &Client, names: &[String]) {
    for name in names {
        client.get("/sdk/GetContext", &[("name", name)]).await.ok();
    }
}

/// Every file of the session has one whole version, and one that it may have. From then on it is that one.
async fn check_files(client: &Client, session: &str, model: &mut Model) {
    let command = "for f in /tmp/files/* /tmp/archive/*; do [ -f $f ] && echo $f $(wc -l < $f) $(sort -u $f); done; true";
    let output = client
        .shell_with(session, json!({ "command": command, "timeout_ms": 60_000 }))
        .await;
    assert_eq!(output.exit_code, 0, "{output:?}");
    let mut found = BTreeMap::new();
    for line in output.stdout.lines() {
        let parts: Vec<_> = line.split(' ').collect();
        let [path, lines, version] = parts[..] else {
            panic!("a mix of versions: {line}");
        };
        assert_eq!(lines, LINES.to_string(), "a part of a version: {line}");
        found.insert(
            path.to_owned(),
            version.parse::<usize>().expect("a version"),
        );
    }
    for (path, versions) in &mut *model {
        let version = found.remove(path);
        let expected = [versions.stored, versions.on_its_way];
        assert!(
            expected.contains(&version),
            "{path}: {version:?} of {versions:?}"
        );
        *versions = Versions {
            stored: version,
            on_its_way: version,
        };
    }
    assert!(found.is_empty(), "nobody wrote these: {found:?}");
}

/// Writes most of the files anew, and deletes a few.
async fn change(
    client: &Client,
    session: &str,
    round: usize,
    random: &mut Random,
    model: &mut Model,
) {
    let (mut written, mut deleted) = (String::new(), String::new());
    for number in 0..FILES {
        for (folder, _) in MOUNTS {
            let path = format!("{folder}/{number}");
            let chance = random.below(10);
            if chance == 0 {
                let _ = write!(deleted, " {path}");
                model.entry(path).or_default().on_its_way = None;
            } else if chance < 8 {
                let _ = write!(written, " {path}");
                model.entry(path).or_default().on_its_way = Some(round);
            }
        }
    }
    let command = format!(
        "yes {round} | head -n {LINES} > /tmp/new; for f in {written}; do cp /tmp/new $f; done; rm -f {deleted}"
    );
    let output = client
        .shell_with(session, json!({ "command": command, "timeout_ms": 60_000 }))
        .await;
    assert_eq!(output.exit_code, 0, "{output:?}");
}

async fn sync(client: &Client, session: &str) {
    client
        .post("/sdk/SyncContext", &[("sessionId", session)], json!({}))
        .await
        .ok();
}

fn blobs(folder: &Path) -> usize {
    folder
        .join("data/blobs")
        .read_dir()
        .map_or(0, Iterator::count)
}

/// Waits for the moment. Tells whether all uploads were called a success by then.
async fn reach(
    moment: Moment,
    client: &Client,
    session: &str,
    folder: &Path,
    before: usize,
) -> bool {
    match moment {
        Moment::After(time) => sleep(time).await,
        Moment::Blobs(more) => {
            eventually("blobs", async || {
                (blobs(folder) > before + more).then_some(())
            })
            .await;
        }
        Moment::Success => {
            eventually("success", async || {
                succeeded(client, session).await.then_some(())
            })
            .await;
        }
    }
    matches!(moment, Moment::Success) || succeeded(client, session).await
}

async fn succeeded(client: &Client, session: &str) -> bool {
    let tasks: Vec<Value> = client.tasks(session, &[("taskType", "upload")]).await;
    assert!(
        tasks.iter().all(|task| task["status"] != "Failed"),
        "{tasks:?}"
    );
    tasks.len() == MOUNTS.len() && tasks.iter().all(|task| task["status"] == "Success")
}
