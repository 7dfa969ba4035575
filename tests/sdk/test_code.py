"""Code in the languages that the host has."""

import shutil
import time

import pytest


def needs(program):
    there = shutil.which(program, path="/usr/local/bin:/usr/bin")
    return pytest.mark.skipif(not there, reason=f"this host has no {program}")


def test_python_prints_and_its_last_expression_is_a_result(session):
    run = session.code.run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n[1, 2]", "python")
    assert run.success, run.error_message
    assert run.logs.stdout == ["out\n"] and run.logs.stderr == ["err\n"]
    (result,) = run.results
    assert result.text == "[1, 2]" and result.is_main_result
    assert run.execution_count >= 1 and run.execution_time > 0


def test_python_shows_rich_results(session):
    code = (
        "class Rich:\n"
        "    def _repr_html_(self): return '<b>x</b>'\n"
        "    def _repr_png_(self): return b'png'\n"
        "    def __repr__(self): return 'rich'\n"
        "display(Rich())\n"
    )
    (result,) = session.code.run(code, "py").results
    assert (result.text, result.html, result.png) == ("rich", "<b>x</b>", "cG5n") and not result.is_main_result


def test_python_errors_tell_where(session):
    run = session.code.run("print('before')\ndef f():\n    return 1 / 0\nf()", "python")
    assert not run.success and run.logs.stdout == ["before\n"]
    assert "ZeroDivisionError" in run.error_message and "line 3" in run.error_message
    assert "driver" not in run.error_message
    syntax = session.code.run("def", "python")
    assert not syntax.success and "SyntaxError" in syntax.error_message
    assert "ast.py" not in syntax.error_message and "driver" not in syntax.error_message


def test_code_that_takes_too_long_is_ended(session):
    began = time.monotonic()
    run = session.code.run("print('begun', flush=True)\nwhile True: pass", "python", timeout_s=1)
    assert not run.success and "timed out" in run.error_message and run.logs.stdout == ["begun\n"]
    assert time.monotonic() - began < 20


def test_code_shares_the_sessions_files(session):
    session.file.write("/tmp/shared", "42")
    run = session.code.run("int(open('/tmp/shared').read()) + 1", "python")
    assert run.results[0].text == "43"


@needs("node")
def test_javascript(session):
    run = session.code.run("console.log('out'); console.error('err'); 6 * 7", "javascript")
    assert run.success and run.logs.stdout == ["out\n"] and run.logs.stderr == ["err\n"]
    assert run.results[0].text == "42"
    assert session.code.run("const a = await Promise.resolve(1); console.log(a)", "js").logs.stdout == ["1\n"]
    assert session.code.run("console.log(require('path').join('a', 'b'))", "node").logs.stdout == ["a/b\n"]
    assert session.code.run("await Promise.resolve(3);", "javascript").results[0].text == "3"
    failed = session.code.run("\nnull.x", "javascript")
    assert not failed.success and "TypeError" in failed.error_message and "code.js:2" in failed.error_message
    assert "driver" not in failed.error_message and "node:" not in failed.error_message


@needs("java")
def test_java(session):
    program = 'public class Hello { public static void main(String[] a) { System.out.println("java " + (1 + 1)); } }'
    run = session.code.run(program, "java")
    assert run.success and run.logs.stdout == ["java 2\n"]
    assert not session.code.run(program.replace("println", "nothing"), "java").success


@needs("jshell")
def test_a_java_snippet(session):
    run = session.code.run("int x = 20;\nSystem.out.println(x + 2);", "java")
    assert run.success and run.logs.stdout == ["22\n"]


@needs("Rscript")
def test_r(session):
    run = session.code.run("cat('out\\n')\n1 + 1", "r")
    assert run.success and run.logs.stdout == ["out\n"] and "2" in run.results[0].text


def test_a_language_that_is_not_there_is_refused_with_the_reason(session):
    unknown = session.call_mcp_tool("run_code", {"code": "1", "language": "cobol"})
    assert not unknown.success and "Unsupported language" in unknown.error_message
    if not shutil.which("Rscript", path="/usr/local/bin:/usr/bin"):
        missing = session.code.run("1", "r")
        assert not missing.success and "Rscript" in missing.error_message


def test_output_streams_while_the_code_runs(session):
    chunks = []
    code = "import time\nfor number in range(3):\n    print(number)\n    time.sleep(0.2)\n'last'"
    run = session.code.run(code, "python", stream_beta=True, on_stdout=lambda chunk: chunks.append((time.monotonic(), chunk)))
    assert run.success, run.error_message
    assert "".join(chunk for _, chunk in chunks) == "0\n1\n2\n"
    assert chunks[-1][0] - chunks[0][0] > 0.2, "they came one after the other"
    assert run.results[0].text == "'last'" and run.results[0].is_main_result


def test_a_streamed_error_is_told(session):
    errors = []
    run = session.code.run("print('x')\n1 / 0", "python", stream_beta=True, on_error=errors.append)
    assert not run.success and "ZeroDivisionError" in run.error_message
    assert run.logs.stdout == ["x\n"]
