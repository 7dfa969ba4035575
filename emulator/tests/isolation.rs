//! What a session must not reach, end or use up: the host, the emulator, and the other sessions.

mod support;

use std::time::Duration;

use agb_emulator::Config;
use serde_json::json;
use support::{Bench, config, eventually, processes_with};

const MIB: u64 = 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_secrets_and_the_emulators_data_are_out_of_reach_of_commands_and_file_tools() {
    let bench = Bench::start().await;
    let context = bench.client.context("private").await;
    let mounts = [(context.as_str(), "/tmp/data", json!({}))];
    let one = bench.client.session_with("image", &mounts).await;
    bench
        .client
        .shell(&one, "echo 'the other sessions secret' > /tmp/data/secret")
        .await;
    bench.client.upload(&one).await;
    let two = bench.client.session().await;
    // A file in the home of whoever runs this, and the host's own tree by way of one of its processes.
    let private = tempfile::NamedTempFile::new_in(std::env::home_dir().unwrap()).unwrap();
    let by_process = format!("/proc/{}/root", std::process::id());
    let by_process = by_process + private.path().to_str().unwrap();
    for path in [
        "/etc/shadow",
        "/etc/gshadow",
        private.path().to_str().unwrap(),
        &by_process,
    ] {
        for tool in ["read_file", "get_file_info"] {
            // Even a name that the session can see tells it nothing.
            let (refused, text) = bench.client.tool(&two, tool, json!({ "path": path })).await;
            assert!(refused, "{tool} {path}: {text}");
        }
    }
    // Wherever the session may look, there is neither the other's file nor the stored copy.
    let found = bench
        .client
        .shell_with(
            &two,
            json!({
                "command": "grep -rls 'the other sessions secret' / --exclude-dir=proc --exclude-dir=usr --exclude-dir=dev; \
                            find / -name 'agb-emulator-*' -not -path '/proc/*' 2>/dev/null; \
                            find / -name 'world.sock' -not -path '/proc/*' 2>/dev/null; true",
                "timeout_ms": 60_000,
            }),
        )
        .await;
    assert_eq!(found.stdout, "", "{found:?}");
    let mounts = bench.client.shell(&two, "cat /proc/self/mountinfo").await;
    assert!(!mounts.stdout.contains(&one), "{mounts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_end_processes_of_another_or_of_the_host() {
    let bench = Bench::start().await;
    let (one, two) = (bench.client.session().await, bench.client.session().await);
    let mark = format!("{}.{}", 3700, std::process::id());
    bench
        .client
        .shell(&one, &format!("sleep {mark} >/dev/null 2>&1 &"))
        .await;
    let host = std::process::id();
    let attempt = format!(
        "kill -9 {host}; kill -9 1; kill -9 -1; for p in $(seq 1 5000); do kill -9 $p; done 2>/dev/null"
    );
    bench.client.shell(&two, &attempt).await;
    assert_eq!(processes_with(&mark), 1);
    assert_eq!(bench.client.shell(&one, "echo well").await.stdout, "well\n");
    // What it did to itself, it got over.
    assert_eq!(bench.client.shell(&two, "echo well").await.stdout, "well\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_stopped_by_its_limit_and_ends_with_its_command() {
    let bench = Bench::start().await;
    let (one, two) = (bench.client.session().await, bench.client.session().await);
    let mark = format!("fork{}bomb", std::process::id());
    let bomb = format!("{mark}() {{ {mark} | {mark} & }}; {mark}; sleep 60");
    let args = json!({ "command": bomb, "timeout_ms": 3000 });
    let client = bench.client.clone();
    let bombed = one.clone();
    let running = tokio::spawn(async move { client.shell_with(&bombed, args).await });
    eventually("the bomb has gone off", async || {
        (processes_with(&mark) > 100).then_some(())
    })
    .await;
    assert_eq!(bench.client.shell(&two, "echo well").await.stdout, "well\n");
    assert!(processes_with(&mark) <= 512);
    let output = running.await.unwrap();
    assert_eq!(output.exit_code, 124, "{output:?}");
    assert_eq!(processes_with(&mark), 0);
    assert_eq!(bench.client.shell(&one, "echo well").await.stdout, "well\n");
}

/// Enough for the files that a session has anyway.
fn small_disk() -> Config {
    Config {
        session_disk_bytes: 20 * MIB,
        ..config()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_would_fill_the_disk_is_refused() {
    let bench = Bench::start_with(small_disk()).await;
    let session = bench.client.session().await;
    let big = bench
        .client
        .shell(&session, "head -c 30000000 /dev/zero > /tmp/big; echo $?")
        .await;
    assert_ne!(big.stdout.trim(), "0", "{big:?}");
    let kept = bench.client.shell(&session, "stat -c %s /tmp/big").await;
    assert!(
        kept.stdout.trim().parse::<u64>().unwrap() <= 20 * MIB,
        "{kept:?}"
    );
    let args = json!({ "path": "/tmp/big", "content": "x".repeat(1024), "mode": "append" });
    let (refused, text) = bench.client.tool(&session, "write_file", args).await;
    assert!(refused && text.contains("quota"), "{text}");
    // Once there is room again, there is room.
    bench.client.shell(&session, "rm /tmp/big").await;
    let args = json!({ "path": "/tmp/small", "content": "x" });
    assert!(!bench.client.tool(&session, "write_file", args).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_that_fill_the_disk_together_end_the_sessions_processes() {
    fill_with_many("head -c 1000000 /dev/zero > /tmp/f$i").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_of_a_byte_each_fill_the_disk_as_well() {
    fill_with_many("echo > /tmp/f$i").await;
}

/// Makes files without an end, one with each run of `make_one`.
async fn fill_with_many(make_one: &str) {
    let bench = Bench::start_with(small_disk()).await;
    let session = bench.client.session().await;
    let mark = format!("{}.{}", 3710 + make_one.len(), std::process::id());
    bench
        .client
        .shell(&session, &format!("sleep {mark} >/dev/null 2>&1 &"))
        .await;
    let fill = json!({
        "command": format!("i=0; while true; do {make_one} || exit 3; i=$((i+1)); done"),
        "timeout_ms": 60_000,
    });
    let output = bench.client.shell_with(&session, fill).await;
    assert_ne!(output.exit_code, 124, "it was not stopped: {output:?}");
    assert!(output.stderr.contains("quota"), "{output:?}");
    // The command is told to have ended when it has; the others end with it, one after the other.
    eventually("every process has ended", async || {
        (processes_with(&mark) == 0).then_some(())
    })
    .await;
    // Over its quota it may clean up, and nothing else.
    let more = bench.client.shell(&session, "echo more > /tmp/more").await;
    assert_ne!(more.exit_code, 0, "{more:?}");
    assert_eq!(
        bench
            .client
            .shell(&session, "find /tmp -name 'f*' -delete")
            .await
            .exit_code,
        0
    );
    let again = bench
        .client
        .shell(&session, "echo more > /tmp/more; cat /tmp/more")
        .await;
    assert_eq!(again.stdout, "more\n", "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_isolated_no_tool_touches_anything() {
    let config = Config {
        sandbox_program: Some("/bin/true".into()),
        ..config()
    };
    let bench = Bench::start_with(config).await;
    let session = bench.client.session().await;
    for (tool, args) in [
        ("shell", json!({ "command": "true" })),
        ("read_file", json!({ "path": "/etc/passwd" })),
        ("write_file", json!({ "path": "/tmp/x", "content": "x" })),
        ("run_code", json!({ "code": "1", "language": "python" })),
        ("get_metrics", json!({})),
    ] {
        let body = json!({ "sessionId": session, "name": tool, "args": args.to_string() });
        bench
            .client
            .post("/mcp", &[], body)
            .await
            .refused(400, "IsolationUnavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_a_network_of_its_own_and_no_other() {
    let bench = Bench::start().await;
    let (one, two) = (bench.client.session().await, bench.client.session().await);
    let port = bench.emulator.address().port();
    let connect = |port: u16| {
        format!("timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' && echo connected")
    };
    let serve = "python3 -m http.server 8099 >/dev/null 2>&1 &";
    bench.client.shell(&one, serve).await;
    eventually("the server listens", async || {
        let seen = bench.client.shell(&one, &connect(8099)).await;
        (seen.stdout == "connected\n").then_some(())
    })
    .await;
    for (session, port) in [(&two, 8099), (&one, port), (&two, port)] {
        let seen = bench.client.shell(session, &connect(port)).await;
        assert_ne!(seen.exit_code, 0, "{port}: {seen:?}");
    }
    let out = bench
        .client
        .shell_with(
            &one,
            json!({ "command": "timeout 3 bash -c 'exec 3<>/dev/tcp/1.1.1.1/80'", "timeout_ms": 10_000 }),
        )
        .await;
    assert_ne!(out.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_leaves_what_an_earlier_command_started() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let (kept, ended) = (
        format!("{}.{}", 3720, std::process::id()),
        format!("{}.{}", 3721, std::process::id()),
    );
    bench
        .client
        .shell(&session, &format!("sleep {kept} >/dev/null 2>&1 &"))
        .await;
    let args =
        json!({ "command": format!("setsid sleep {ended} & sleep {ended}"), "timeout_ms": 300 });
    assert_eq!(bench.client.shell_with(&session, args).await.exit_code, 124);
    assert_eq!((processes_with(&kept), processes_with(&ended)), (1, 0));
    // And what stays in the background holds nobody up, though it has the output open.
    let began = std::time::Instant::now();
    let output = bench
        .client
        .shell(&session, &format!("sleep {kept} & echo said"))
        .await;
    assert_eq!(output.stdout, "said\n");
    assert!(began.elapsed() < Duration::from_secs(10));
}
