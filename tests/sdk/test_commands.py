"""Commands in a session."""

import pytest
from conftest import shell


def test_output_exit_code_and_trace(session):
    good = session.command.execute("echo out; echo err >&2", timeout_ms=10_000)
    assert (good.success, good.stdout, good.stderr, good.exit_code) == (True, "out\n", "err\n", 0)
    assert good.output == "out\nerr\n" and not good.trace_id
    bad = session.command.execute("echo half; exit 7", timeout_ms=10_000)
    assert (bad.success, bad.stdout, bad.exit_code) == (False, "half\n", 7) and bad.trace_id


def test_folder_environment_and_quoting(session):
    result = session.command.execute(
        'pwd; echo "$NAME"', timeout_ms=10_000, cwd="/tmp", envs={"NAME": "it's \"so\" $HOME\nü"}
    )
    assert result.stdout == "/tmp\nit's \"so\" $HOME\nü\n"
    with pytest.raises(ValueError):
        session.command.execute("true", envs={"NUMBER": 1})
    assert not session.command.execute("true", cwd="/nowhere").success


def test_a_timeout_ends_the_command(session):
    result = session.command.execute("echo begun; sleep 60", timeout_ms=300)
    assert not result.success and result.exit_code == 124 and result.stdout == "begun\n"
    assert "timed out" in result.stderr


def test_a_server_in_the_background_goes_on_and_can_be_stopped(session):
    shell(session, "mkdir -p /tmp/www && echo served > /tmp/www/page")
    pid = shell(session, "cd /tmp/www && python3 -m http.server 8123 >/tmp/www/log 2>&1 & echo $!").strip()
    fetch = (
        "import time, urllib.request, urllib.error\n"
        "for _ in range(200):\n"
        "    try:\n"
        "        print(urllib.request.urlopen('http://localhost:8123/page').read().decode(), end='')\n"
        "        break\n"
        "    except urllib.error.URLError:\n"
        "        time.sleep(0.05)\n"
    )
    result = session.code.run(fetch, "python")
    assert result.success and result.logs.stdout == ["served\n"], result.error_message
    shell(session, f"kill {pid}")
    assert not session.command.execute(f"sleep 0.2; kill -0 {pid}", timeout_ms=5000).success


def test_state_lives_in_files_and_not_in_the_shell(session):
    shell(session, "export LOST=1; cd /tmp; echo kept > /tmp/kept")
    assert shell(session, "echo \"[$LOST]\" $(pwd) $(cat /tmp/kept)") == "[] /home/agb kept\n"


def test_much_output_does_not_hold_a_command_up(session):
    assert len(shell(session, "head -c 500000 /dev/zero | tr '\\0' x")) == 500_000
