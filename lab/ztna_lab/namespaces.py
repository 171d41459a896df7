"""Hosts of the laboratory: network namespaces, the links between them and the processes in them.

Every interface is made inside a namespace, so no name meets one of this machine's. Namespaces are
called ztna-lab-<pid>-<number>-<host>. A lock under /run says that a laboratory is alive; the kernel
lets go of it however its process ends, and then `remove_stale()` finds what it left.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PREFIX = "ztna-lab"
LOCKS = pathlib.Path("/run/ztna-lab")
NAMESPACES = pathlib.Path("/run/netns")
FILES = pathlib.Path("/etc/netns")  # ip-netns(8) lays what is there over /etc
CLONE_NEWNET = 0x40000000

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something that the person at the terminal has to know; the text is the whole message."""


def wait_for(condition, what, timeout: float = 20.0):
    """The first true value of condition(). `what` is a text, or makes one when it is needed."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def need(program: str, package: str) -> str:
    """The program's path; the error names the Debian package."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not found:
        raise LabError(f"{program} is missing: apt-get install {package}")
    return found


def ip_program() -> str:
    return need("ip", "iproute2")


def run(argv: list[str], data: str | None = None, check: bool = True,
        timeout: float = 60) -> subprocess.CompletedProcess:
    done = subprocess.run(argv, input=data, capture_output=True, text=True, timeout=timeout,
                          errors="replace")
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {(done.stdout + done.stderr).strip()}")
    return done


def child_environment(**extra: str) -> dict[str, str]:
    """Without the variables that are options of the daemons."""
    others = {"INTERMEDIATE_HOST", "INTERMEDIATE_PORT", "SERVICE_ID", "CERT_DIR", "NOTIFY_SOCKET"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ZTNA_") and k not in others}
    return {**kept, **extra}


class Process:
    """A child with its output in a file. It dies with the thread that made it (the main one), so
    even a killed laboratory leaves no process behind."""

    def __init__(self, name: str, argv: list[str], log: pathlib.Path, env: dict[str, str]):
        self.name = name
        self.argv = argv
        self.log_path = log
        self.env = env
        self.start()

    def start(self):
        # A session of its own: Ctrl-C reaches the laboratory, which ends its children in order.
        with self.log_path.open("ab") as log:
            self.child = subprocess.Popen(self.argv, stdout=log, stderr=log, env=self.env,
                                          stdin=subprocess.DEVNULL, start_new_session=True)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def running(self) -> bool:
        return self.child.poll() is None

    def wait_log(self, text: str, timeout: float = 20.0):
        def seen():
            if text in self.log():
                return True
            if not self.running():
                raise LabError(f"{self.name} ended early:\n{self.log()}")
            return False

        wait_for(seen, lambda: f"{text!r} from {self.name}:\n{self.log()}", timeout)

    def stop(self, timeout: float = 10.0, number: int = signal.SIGTERM) -> int:
        if self.running():
            self.child.send_signal(number)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


class Host:
    def __init__(self, lab: Laboratory, name: str):
        self.lab = lab
        self.name = name
        self.namespace = f"{lab.tag}-{name}"
        self.prefix = [ip_program(), "netns", "exec", self.namespace]

    def run(self, *argv: str, data: str | None = None, check: bool = True, timeout: float = 60):
        return run([*self.prefix, *argv], data, check, timeout)

    def ip(self, *commands: str):
        """Commands of ip(8), without the word `ip`, in one go."""
        run([ip_program(), "-n", self.namespace, "-batch", "-"], "\n".join(commands) + "\n")

    def nft(self, rules: str) -> str:
        return self.run(need("nft", "nftables"), "-f", "-", data=rules).stdout

    def sysctl(self, **values: int):
        """Keys are written with __ for the dots: net__ipv4__ip_forward=1."""
        with self.entered():
            for key, value in values.items():
                # /proc/sys/net shows the namespace of the process that opens it.
                path = "/proc/sys/" + key.replace("__", "/")
                pathlib.Path(path).write_text(str(value))

    @contextlib.contextmanager
    def entered(self):
        """This thread is inside the namespace; what it opens stays there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(NAMESPACES / self.namespace, os.O_RDONLY)
        try:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(there)
            os.close(home)

    def names(self, addresses: dict[str, list[str]]):
        """What names mean to the processes that are started here from now on."""
        folder = FILES / self.namespace
        folder.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost"]
        lines += [f"{address} {name}" for name, all_of in addresses.items() for address in all_of]
        (folder / "hosts").write_text("\n".join(lines) + "\n")

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> socket.socket:
        with self.entered():
            return socket.socket(family, kind)

    def spawn(self, name: str, *argv: str, env: dict[str, str] | None = None,
              process=Process, **more) -> Process:
        guard = [need("setpriv", "util-linux"), "--pdeathsig", "KILL", "--"]
        child = process(name, [*self.prefix, *guard, *argv], self.lab.folder / f"{name}.log",
                        child_environment(**(env or {})), **more)
        self.lab.processes.append(child)
        return child


def _setns(descriptor: int):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Laboratory:
    """Use as a context manager; its end removes everything."""

    def __init__(self, keep_folder: bool = False):
        self.tag = f"{PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.hosts: dict[str, Host] = {}
        self.processes: list[Process] = []
        self.keep_folder = keep_folder
        LOCKS.mkdir(mode=0o700, exist_ok=True)
        self.lock_path = LOCKS / self.tag
        self.lock = _take(self.lock_path)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(self, *_):
        self.close()

    def host(self, name: str, router: bool = False, ipv6: bool = False) -> Host:
        host = Host(self, name)
        self.hosts[name] = host  # before it exists: a signal in between must not leave it behind
        run([ip_program(), "netns", "add", host.namespace])
        host.sysctl(net__ipv6__conf__all__disable_ipv6=int(not ipv6),
                    net__ipv6__conf__default__disable_ipv6=int(not ipv6),
                    net__ipv6__conf__default__accept_dad=0,
                    net__ipv6__conf__default__accept_ra=0,
                    net__ipv4__conf__all__rp_filter=0,
                    net__ipv4__conf__default__rp_filter=0)
        if router:
            host.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__send_redirects=0,
                        net__ipv4__conf__default__send_redirects=0)
            if ipv6:
                host.sysctl(net__ipv6__conf__all__forwarding=1)
        host.ip("link set dev lo up")
        return host

    def link(self, a: Host, a_name: str, b: Host, b_name: str):
        """A cable, both of its ends up."""
        a.ip(f"link add {a_name} type veth peer name {b_name} netns {b.namespace}",
             f"link set dev {a_name} up")
        b.ip(f"link set dev {b_name} up")

    def close(self):
        with _undisturbed():
            for process in reversed(self.processes):
                if process.running():
                    process.child.terminate()
            for process in reversed(self.processes):
                process.stop(timeout=5)
            for host in self.hosts.values():
                _remove_namespace(host.namespace)
            self.hosts.clear()
            if not self.keep_folder:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.lock_path.unlink(missing_ok=True)
            self.lock.close()


def _take(path: pathlib.Path):
    """The file, locked, and still at its name: somebody's remove_stale() may come in between."""
    while True:
        lock = path.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                return lock
        lock.close()


@contextlib.contextmanager
def _undisturbed():
    """A second Ctrl-C must not interrupt the cleaning."""
    old = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):  # not the main thread
            old[number] = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _remove_namespace(name: str):
    pids = run([ip_program(), "netns", "pids", name], check=False).stdout.split()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    shutil.rmtree(FILES / name, ignore_errors=True)  # first: stale ones are found by the namespace
    run([ip_program(), "netns", "del", name], check=False)


def _alive(tag: str) -> bool:
    try:
        with (LOCKS / tag).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def remove_stale() -> list[str]:
    """Removes the namespaces and folders of laboratories that ended without doing it themselves.
    Returns what was removed."""
    pattern = re.compile(rf"({PREFIX}-\d+-\d+)-.+")
    removed = []
    names = sorted(os.listdir(NAMESPACES)) if NAMESPACES.is_dir() else []
    for name in names:
        match = pattern.fullmatch(name)
        if match and not _alive(match.group(1)):
            _remove_namespace(name)
            removed.append(f"namespace {name}")
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        match = pattern.fullmatch(folder.name)
        if match and folder.owner() == "root" and not _alive(match.group(1)):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(f"folder {folder}")
    for lock in LOCKS.glob(f"{PREFIX}-*") if LOCKS.is_dir() else []:
        if not _alive(lock.name):
            lock.unlink(missing_ok=True)
    return removed
