//! Commands run in the session's own world, and end when their time is over.

mod support;

use serde_json::json;
use support::{Bench, eventually, processes_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_tells_its_output_and_its_exit_code() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let good = bench.client.shell(&session, "echo out; echo err >&2").await;
    assert_eq!((good.is_error, good.exit_code), (false, 0));
    assert_eq!(
        (good.stdout.as_str(), good.stderr.as_str()),
        ("out\n", "err\n")
    );
    let bad = bench.client.shell(&session, "echo half; exit 3").await;
    assert_eq!(
        (bad.is_error, bad.exit_code, bad.stdout.as_str()),
        (true, 3, "half\n")
    );
    let killed = bench.client.shell(&session, "kill -9 $$").await;
    assert_eq!(killed.exit_code, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_the_folder_and_the_environment_that_it_asks_for() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let args = json!({
        "command": "pwd; echo \"$GREETING\"",
        "timeout_ms": 10_000,
        "cwd": "/tmp",
        "envs": { "GREETING": "hello there" },
    });
    assert_eq!(
        bench.client.shell_with(&session, args).await.stdout,
        "/tmp\nhello there\n"
    );
    assert_eq!(
        bench
            .client
            .shell(&session, "pwd; id -un; touch file")
            .await
            .stdout,
        "/home/agb\nagb\n"
    );
    let nowhere = json!({ "command": "true", "timeout_ms": 10_000, "cwd": "/nowhere" });
    let refused = bench.client.shell_with(&session, nowhere).await;
    assert!(
        refused.is_error && refused.stderr.contains("/nowhere"),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_neither_another_session_nor_the_host() {
    let bench = Bench::start().await;
    let (one, two) = (bench.client.session().await, bench.client.session().await);
    assert_eq!(
        bench
            .client
            .shell(&one, "echo mine > /tmp/mine; echo mine > /home/mine")
            .await
            .exit_code,
        0
    );
    let listing = bench.client.shell(&two, "ls -A /tmp /home").await;
    assert!(!listing.stdout.contains("mine"), "{listing:?}");

    let host_file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host_file.path(), "host secret").unwrap();
    for path in [
        "/etc/shadow",
        host_file.path().to_str().unwrap(),
        env!("CARGO_MANIFEST_DIR"),
        "/root",
        "/var",
        "/sys",
    ] {
        let read = bench.client.shell(&one, &format!("ls {path}")).await;
        assert_ne!(read.exit_code, 0, "{path} is visible");
    }
    for path in ["/usr/x", "/etc/x", "/dev/x", "/x", "/bin/x"] {
        let written = bench.client.shell(&one, &format!("echo > {path}")).await;
        assert_ne!(written.exit_code, 0, "{path} was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sees_its_own_processes_only_and_cannot_gain_rights() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let processes = bench
        .client
        .shell(
            &session,
            "ls -d /proc/[0-9]* | wc -l; hostname || cat /proc/sys/kernel/hostname",
        )
        .await;
    let count: u32 = processes
        .stdout
        .lines()
        .next()
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(count <= 6, "{processes:?}");
    assert!(
        !processes.stdout.contains(
            std::fs::read_to_string("/proc/sys/kernel/hostname")
                .unwrap()
                .trim()
        )
    );
    let status = bench
        .client
        .shell(&session, "cat /proc/self/status")
        .await
        .stdout;
    for line in [
        "NoNewPrivs:\t1",
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
    ] {
        assert!(status.contains(line), "{line} in {status}");
    }
    for command in [
        "mount -t tmpfs none /tmp",
        "umount /tmp",
        "cat /proc/1/environ",
        "readlink /proc/1/fd/0",
    ] {
        assert_ne!(
            bench.client.shell(&session, command).await.exit_code,
            0,
            "{command}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_time_is_over_the_whole_process_tree_is_gone() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    // A number that no other process on this machine has in its command line.
    let mark = format!("{}.{}", 3600, std::process::id());
    let command = format!(
        "echo begun; (setsid sleep {mark} & setsid sleep {mark} &); trap '' TERM; sleep {mark}"
    );
    let output = bench
        .client
        .shell_with(&session, json!({ "command": command, "timeout_ms": 500 }))
        .await;
    assert!(
        output.is_error && output.stderr.contains("timed out"),
        "{output:?}"
    );
    assert_eq!(output.stdout, "begun\n");
    assert_eq!(processes_with(&mark), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_leaves_running_goes_on_until_the_session_ends() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let mark = format!("{}.{}", 3601, std::process::id());
    let begun = bench
        .client
        .shell(&session, &format!("sleep {mark} & echo $!"))
        .await;
    let seen = bench
        .client
        .shell(
            &session,
            &format!("kill -0 {} && echo alive", begun.stdout.trim()),
        )
        .await;
    assert_eq!(seen.stdout, "alive\n", "{seen:?}");
    bench.client.release(&session).await;
    assert_eq!(processes_with(&mark), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_a_session_ends_its_commands() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let mark = format!("{}.{}", 3602, std::process::id());
    let args = json!({ "command": format!("sleep {mark}"), "timeout_ms": 60_000 }).to_string();
    let body = json!({ "sessionId": session, "name": "shell", "args": args });
    let client = bench.client.clone();
    let running = tokio::spawn(async move { client.post("/mcp", &[], body).await });
    eventually("the command runs", async || {
        (processes_with(&mark) > 0).then_some(())
    })
    .await;
    bench.client.release(&session).await;
    running
        .await
        .unwrap()
        .refused(400, "InvalidMcpSession.NotFound");
    assert_eq!(processes_with(&mark), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_the_emulator_ends_the_commands_that_run() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let mark = format!("{}.{}", 3603, std::process::id());
    let args = json!({ "command": format!("sleep {mark}"), "timeout_ms": 60_000 }).to_string();
    let body = json!({ "sessionId": session, "name": "shell", "args": args });
    let client = bench.client.clone();
    let running = tokio::spawn(async move {
        client
            .send(reqwest::Method::POST, "/mcp", &[], Some(&body))
            .await
    });
    eventually("the command runs", async || {
        (processes_with(&mark) > 0).then_some(())
    })
    .await;
    bench.emulator.stop().await;
    assert_eq!(processes_with(&mark), 0);
    assert!(running.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_bounded_and_does_not_hold_the_command_up() {
    let bench = Bench::start().await;
    let session = bench.client.session().await;
    let output = bench
        .client
        .shell(
            &session,
            "head -c 5000000 /dev/zero | tr '\\0' x; echo done >&2",
        )
        .await;
    assert_eq!((output.exit_code, output.stderr.as_str()), (0, "done\n"));
    assert_eq!(output.stdout.len(), 1024 * 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_helper_that_takes_over_commands_are_refused() {
    let config = agb_emulator::Config {
        sandbox_program: Some("/bin/true".into()),
        ..support::config()
    };
    let bench = Bench::start_with(config).await;
    let session = bench.client.session().await;
    let body = json!({ "sessionId": session, "name": "shell", "args": "{\"command\": \"true\"}" });
    bench
        .client
        .post("/mcp", &[], body)
        .await
        .refused(400, "IsolationUnavailable");
    assert!(bench.emulator.check_isolation().await.is_err());
}
