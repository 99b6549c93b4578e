"""Beside other tools a capture works on both sides, or is refused or lost with a reason."""

import json
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from scripts import environ, run

HAS_MONITORING = sys.version_info >= (3, 12)
ENVIRON = environ()

PREAMBLE = """
import sys
from counts import label, of_tree
from flaskprof.capture.calltree import CallTreeEngine
from flaskprof.capture.engines import EngineBusyError, RecordingLostError
ENGINE = CallTreeEngine()

def leaf():
    return len("x")

def branch(times):
    for _ in range(times):
        leaf()

def capture(work):
    "The count of leaf() in a capture of work(), or the reason why there is none."
    try:
        recording = ENGINE.start()
    except EngineBusyError as error:
        work()
        return "refused: " + str(error)
    recording.on()
    work()
    recording.off()
    recording.stop()
    try:
        tree = recording.finish()
    except RecordingLostError as error:
        return "lost: " + str(error)
    assert recording.notes == []
    return of_tree(tree)[label(leaf.__code__)]

def tools():
    return [sys.monitoring.get_tool(i) for i in range(6)] if hasattr(sys, "monitoring") else []

TOOLS = tools()

def clean():
    assert sys.getprofile() is None
    assert tools() == TOOLS, tools()
    assert capture(lambda: branch(2)) == 2
"""

CPROFILE_INSIDE = """
import cProfile
profiler = cProfile.Profile()
def work():
    branch(3)
    profiler.enable()
    branch(4)
    profiler.disable()
    branch(5)
result = capture(work)
counts = {label(e.code): e.callcount for e in profiler.getstats()}
assert counts[label(leaf.__code__)] == 4
print(result)
clean()
"""


def test_the_applications_own_cprofile_inside_a_capture():
    result = run(PREAMBLE + CPROFILE_INSIDE).strip()
    assert result == (
        "12" if HAS_MONITORING else "lost: another profiler was switched on in the same thread"
    )


CPROFILE_AROUND = """
import cProfile
profiler = cProfile.Profile()
profiler.enable()
branch(1)
result = capture(lambda: branch(3))
branch(2)
profiler.disable()
counts = {label(e.code): e.callcount for e in profiler.getstats()}
assert counts[label(leaf.__code__)] == 6
print(result)
clean()
"""


def test_a_capture_inside_the_applications_own_cprofile():
    result = run(PREAMBLE + CPROFILE_AROUND).strip()
    assert result == (
        "3" if HAS_MONITORING else "refused: another profiler is on in this thread"
    )


PYINSTRUMENT = """
import time
from pyinstrument import Profiler
def pause():
    time.sleep(0.05)
def sampled(work):
    profiler = Profiler(interval=0.001)
    profiler.start()
    result = work()
    profiler.stop()
    assert "pause" in profiler.output_text()
    return result
print(capture(lambda: (branch(2), sampled(lambda: (branch(3), pause())), branch(4))))
print(sampled(lambda: (capture(lambda: branch(3)), pause())[0]))
clean()
"""


def test_pyinstrument_inside_and_around_a_capture():
    inside, around = run(PREAMBLE + PYINSTRUMENT).splitlines()
    if HAS_MONITORING:
        assert (inside, around) == ("9", "3")
    else:
        assert inside == "lost: another profiler was switched on in the same thread"
        assert around == "refused: another profiler is on in this thread"


COVERED = """
def choose(flag):
    if flag:
        leaf()
        return 1
    return 0

assert capture(lambda: (choose(False), branch(3))) == 3
choose(True) if len(sys.argv) > 1 else None
"""


@pytest.mark.parametrize("core", ["ctrace", "sysmon"])
def test_coverage_measures_what_it_measures_without_a_capture(core, tmp_path):
    if core == "sysmon" and not HAS_MONITORING:
        pytest.skip("needs sys.monitoring")
    found = []
    plain = PREAMBLE.replace("recording.on()", "pass").replace("recording.off()", "pass")
    without = (plain + COVERED).replace(") == 3", ") == 0")
    for name, text in (("with", PREAMBLE + COVERED), ("without", without)):
        script = tmp_path / f"{name}.py"
        script.write_text(text)
        data = tmp_path / f"{name}.data"
        report = tmp_path / f"{name}.json"
        settings = {**ENVIRON, "COVERAGE_CORE": core, "COVERAGE_FILE": str(data)}
        command = [sys.executable, "-m", "coverage"]
        include = f"--include={script}"
        for arguments in (["run", include, script], ["json", "-q", "-o", report]):
            done = subprocess.run(
                [*command, *arguments],
                env=settings,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        (measured,) = json.loads(report.read_text())["files"].values()
        found.append((measured["executed_lines"], measured["missing_lines"]))
    # Line by line the two scripts are the same but for two that do nothing in the second.
    assert found[0] == found[1]
    assert len(found[0][1]) > 0


def test_pdb_stops_inside_a_capture_and_the_counts_are_right(tmp_path):
    script = tmp_path / "debugged.py"
    script.write_text(
        PREAMBLE + "result = capture(lambda: branch(3))\nprint('counted', result)\n"
    )
    line = 1 + script.read_text().splitlines().index('    return len("x")')
    done = subprocess.run(
        [sys.executable, "-m", "pdb", script],
        input=f"break {line}\ncontinue\nwhere\nstep\ncontinue\nclear 1\ncontinue\nquit\n",
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"debugged.py({line})leaf()" in done.stdout
    assert "counted 3" in done.stdout, done.stdout + done.stderr


DEBUGGED = """
import debugpy, time
debugpy.listen(("127.0.0.1", PORT))
debugpy.wait_for_client()
result = capture(lambda: branch(3))
print("counted", result, flush=True)
"""


class DebugClient:
    """As much of the Debug Adapter Protocol as a stop at one line needs."""

    def __init__(self, port):
        self.socket = connect(port)
        self.file = self.socket.makefile("rb")
        self.sequence = 0

    def send(self, command, **arguments):
        self.sequence += 1
        body = json.dumps(
            {
                "seq": self.sequence,
                "type": "request",
                "command": command,
                "arguments": arguments,
            }
        ).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def wait_for(self, kind, name):
        while True:
            length = int(self.file.readline().split(b":")[1])
            self.file.readline()
            message = json.loads(self.file.read(length))
            if message["type"] == kind and message.get("event", message.get("command")) == name:
                return message.get("body")

    def close(self):
        self.file.close()
        self.socket.close()


def connect(port):
    # debugpy listens once its adapter has started; nothing tells when that is.
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "debugpy does not listen"
            time.sleep(0.05)


def test_debugpy_stops_inside_a_capture_and_the_counts_are_right(tmp_path):
    pytest.importorskip("debugpy")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "debugged.py"
    script.write_text(PREAMBLE + textwrap.dedent(DEBUGGED).replace("PORT", str(port)))
    line = 1 + script.read_text().splitlines().index('    return len("x")')
    # A file, since the adapter inherits the output and outlives the process.
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-Xfrozen_modules=off", script],
            env=ENVIRON,
            stdout=file,
            stderr=file,
        )
    try:
        client = DebugClient(port)
        client.send("initialize", adapterID="test")
        client.wait_for("response", "initialize")
        client.send("attach", justMyCode=False)
        client.wait_for("event", "initialized")
        client.send(
            "setBreakpoints", source={"path": str(script)}, breakpoints=[{"line": line}]
        )
        client.wait_for("response", "setBreakpoints")
        client.send("configurationDone")
        for _ in range(3):
            thread = client.wait_for("event", "stopped")["threadId"]
            client.send("continue", threadId=thread)
        process.wait(timeout=60)
        client.close()
    finally:
        process.kill()
        process.wait()
    assert "counted 3" in output.read_text()
