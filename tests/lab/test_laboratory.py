"""What `ztna lab` promises of itself: it cleans up, touches nothing else, and says what is wrong."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

ZTNA = str(pathlib.Path(os.environ["ZTNA_BIN_DIR"]) / "ztna")
PREFIX = "ztna-lab-"


def lab(*arguments: str, **more) -> subprocess.CompletedProcess:
    return subprocess.run([ZTNA, "lab", *arguments], capture_output=True, text=True, timeout=100, **more)


def traces(pid: int) -> list[str]:
    """What the laboratory of that process has in the system."""
    places = ("/run/netns", "/etc/netns", "/tmp", "/run/ztna-lab")
    return [f"{place}/{name}" for place in places if os.path.isdir(place)
            for name in os.listdir(place) if name.startswith(f"{PREFIX}{pid}-")]


def interrupt(number: int, scenario: str = "symmetric-both") -> subprocess.Popen:
    """A laboratory that got a signal while it had hosts and processes."""
    running = subprocess.Popen([ZTNA, "lab", "run", scenario], stdout=subprocess.DEVNULL,
                               start_new_session=True)
    deadline = time.monotonic() + 20
    # It has said something: before that it may not yet have asked to die with its parent.
    while not any(os.path.exists(log) and os.path.getsize(log) > 0 for log in
                  (f"{trace}/agent-alice.log" for trace in traces(running.pid))):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(number)
    running.wait(30)
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(number):
    running = interrupt(number)
    assert running.returncode == 128 + number
    assert traces(running.pid) == []


def test_what_a_killed_one_left_is_removed_by_the_next_and_nothing_else_is():
    stranger = f"ztna-laboratory-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", stranger], check=True)
    try:
        killed = interrupt(signal.SIGKILL, "dual-stack-agent")
        left = traces(killed.pid)
        for place in ("/run/netns/", "/etc/netns/"):
            assert [name for name in left if name.startswith(place)]
        for name in left:  # its processes died with it
            if name.startswith("/run/netns/"):
                pids = ["ip", "netns", "pids", os.path.basename(name)]
                deadline = time.monotonic() + 20  # the kernel ends them one after the other
                while subprocess.run(pids, capture_output=True, text=True).stdout:
                    assert time.monotonic() < deadline, name
                    time.sleep(0.02)
        after = lab("run", "no-nat")
        assert after.returncode == 0, after.stdout + after.stderr
        assert "removed what a former laboratory left" in after.stderr
        assert traces(killed.pid) == []
        assert os.path.exists(f"/run/netns/{stranger}")
    finally:
        subprocess.run(["ip", "netns", "del", stranger], check=True)


def test_a_running_one_is_not_a_former_one():
    running = subprocess.Popen([ZTNA, "lab", "run", "symmetric-both"], stdout=subprocess.PIPE, text=True)
    while not traces(running.pid):
        time.sleep(0.02)
    other = lab("run", "no-nat")
    assert other.returncode == 0 and f"{PREFIX}{running.pid}-" not in other.stderr
    out, _ = running.communicate(timeout=100)
    assert running.returncode == 0, out


def test_it_says_that_it_needs_root():
    env = {"PATH": os.environ["PATH"], "ZTNA_BIN_DIR": os.environ["ZTNA_BIN_DIR"]}
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups", ZTNA, "lab", "run", "no-nat"]
    done = subprocess.run(as_nobody, capture_output=True, text=True, timeout=60, env=env)
    if "cannot open" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("this tree is not readable by others")
    assert done.returncode == 2 and "needs root" in done.stderr


def test_without_python_it_says_what_is_missing():
    done = lab("list", env={"PATH": "/nonexistent"})
    assert done.returncode == 2
    assert "needs python3: apt-get install python3" in done.stderr


def test_a_wrong_name_is_wrong_usage():
    done = lab("run", "home-to-hom")
    assert done.returncode == 2
    assert "did you mean home-to-home?" in done.stderr


def test_a_shell_is_inside_its_host():
    done = lab("shell", "laptop", "--scenario", "no-nat", "-c", "ztna status && ip -br addr && exit 3")
    assert done.returncode == 3, done.stderr
    assert "agent alice of lab.example: ready" in done.stdout
    assert "198.18.1.2/24" in done.stdout
    wrong = lab("shell", "fridge")
    assert wrong.returncode == 1 and "there are: core, intermediate" in wrong.stderr


def test_the_matrix_is_a_table_and_a_page(tmp_path):
    page = tmp_path / "page.html"
    done = lab("matrix", "--networks", "port-restricted;symmetric", "--html", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split()[-2:] for line in done.stdout.splitlines()[1:3]]
    assert rows == [["D", "r"], ["r", "r"]]
    text = page.read_text()
    assert text.count("<rect") >= 4 and "Agent: symmetric; Connector: symmetric; relay" in text
