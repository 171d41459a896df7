"""`ztna quickstart`, as somebody's first minute with it."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from backends import nginx
from ztna import BIN, curl, free_port, wait_for


def children_of(pid: int) -> set[int]:
    """All of them, those of children included, who are not yet reaped or gone."""
    found = set()
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            child = int(folder.name)
            found |= {child} | children_of(child)
    return found


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def quickstart(tmp_path):
    """Runs it with TMPDIR in a folder of the test; whatever it left behind is an error."""
    temporary = tmp_path / "t"
    temporary.mkdir()
    # A path short enough for sockets, wherever pytest puts its folders.
    link = pathlib.Path(f"/tmp/ztna-e2e-q{os.getpid()}")
    link.symlink_to(temporary)
    started = []

    def start(*arguments):
        process = subprocess.Popen([BIN / "ztna", "quickstart", *arguments], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(link)})
        started.append(process)
        return process

    start.temporary = temporary
    yield start
    link.unlink()
    for process in started:
        if process.poll() is None:
            for child in children_of(process.pid):
                os.kill(child, signal.SIGKILL)
            process.kill()
            process.communicate()


def read_until(process, text: str) -> str:
    """Its output up to a line with `text`."""
    said = ""
    while text not in said:
        line = process.stdout.readline()
        assert line, f"ended before {text!r}:\n{said}{process.stderr.read()}"
        said += line
    return said


def test_once(quickstart):
    process = quickstart("--once")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert err == ""
    assert re.search(r"GET / answered 200, [\d,]+ octets", out), out
    assert "exactly the octets that the service has" in out
    assert re.search(r"RELAY via 127\.0\.0\.1:\d+, round trip [\d.]+ (ms|s|µs)", out), out
    assert re.search(r"AES-128-GCM \(by [a-z-]+\)", out), out
    assert re.search(r"intermediate +\w+ [\d,]+ packets, [\d,]+ octets", out), out
    assert "not there" in out, "the Intermediate's memory was searched"
    assert os.listdir(quickstart.temporary) == []


def test_once_as_json(quickstart):
    process = quickstart("--once", "--json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    report = json.loads(out)
    assert report["ok"] is True
    assert report["path"] == "RELAY"
    assert report["agent"].startswith("spiffe://") and report["connector"].startswith("spiffe://")
    assert report["services"][0]["http_status"] == 200 and report["services"][0]["as_served"] is True
    # Both handshakes and the page cannot be less.
    assert report["intermediate"]["octets"] > report["services"][0]["octets"]
    assert report["intermediate"]["plaintext_found"] is False


def test_a_service_of_ones_own(world, quickstart):
    _, port, www = nginx(world)
    (www / "index.html").write_text("my own page\n")
    process = quickstart("--once", "--expose", f"web=tcp://127.0.0.1:{port}")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "answered 200, 12 octets" in out


def test_nobody_listens(quickstart):
    port = free_port()
    process = quickstart("--once", "--expose", f"web=tcp://127.0.0.1:{port}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    assert err.count("\n") == 1, err
    for part in ("--expose", f"127.0.0.1:{port}", "refused", "start your service first"):
        assert part in err, err
    assert os.listdir(quickstart.temporary) == []


def stay(quickstart) -> tuple[subprocess.Popen, set[int], str]:
    process = quickstart()
    said = read_until(process, "Up until Ctrl-C")
    url = re.search(r"http://127\.0\.0\.1:\d+/", said[said.index("open"):])[0]
    children = children_of(process.pid)
    assert len(children) >= 4, "an Intermediate, a Connector, an Agent and the page"
    done = curl("--fail", url)
    assert done.returncode == 0, done.stderr
    return process, children, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stays_until_it_is_told_to_end(quickstart, number):
    process, children, _ = stay(quickstart)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert not [pid for pid in children if alive(pid)]
    assert os.listdir(quickstart.temporary) == []


def test_killed_it_leaves_no_process_behind(quickstart):
    process, children, _ = stay(quickstart)
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not [pid for pid in children if alive(pid)], "the end of its children", 30)


def test_a_daemon_that_dies_is_told(quickstart):
    process, children, said = stay(quickstart)
    agent = int(re.search(r"agent is up \(process (\d+)", said)[1])
    assert agent in children
    os.kill(agent, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "agent" in err and "SIGKILL" in err or "signal 9" in err, err
    assert not [pid for pid in children if alive(pid)]


@pytest.fixture
def backend():
    """A TCP server that answers each connection as the test says, and goes on until the other end is gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(first: bytes, then: bytes):
        def talk(connection):
            with connection:
                try:
                    connection.sendall(first)
                    while not over.wait(0.2):
                        connection.sendall(then)
                except OSError:
                    pass

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return f"web=tcp://127.0.0.1:{listener.getsockname()[1]}"

    over = threading.Event()
    yield serve
    over.set()
    listener.close()


def test_a_page_that_never_ends_has_been_reached(quickstart, backend):
    service = backend(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: more\n\n")
    process = quickstart("--once", "--expose", service)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert "GET / answered 200" in output


def test_ctrl_c_while_a_service_says_nothing(quickstart, backend):
    process = quickstart("--expose", backend(b"", b""))
    read_until(process, "Fetching")
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - began < 8, "it waited for the page all the same"
    assert list(quickstart.temporary.iterdir()) == []
