"""Manual pages and completion say what the programs' --help says, and the examples in /etc/ztna do."""

from __future__ import annotations

import gzip
import pathlib
import re
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from backends import need  # noqa: E402
from ztna import BIN  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = BIN.parent / "documents"
SECTIONS = {"ztna": 1, "intermediate-server": 8, "app-connector": 8, "ztna-agent": 8}
PROGRAMS = {"intermediate": "intermediate-server", "connector": "app-connector", "agent": "ztna-agent"}
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]+")


def run(*argv: object, **options) -> str:
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def help_of(*command: str) -> str:
    return run(BIN / command[0], *command[1:], "--help")


@pytest.mark.parametrize("program", SECTIONS)
def test_a_manual_page_has_every_flag_and_formats_without_a_warning(program):
    page = DOCUMENTS / "man" / f"{program}.{SECTIONS[program]}.gz"
    done = subprocess.run([need("man"), "--warnings", "--encoding=utf8", "--local-file", str(page)],
                          capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "200",
                                                                           "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == ""
    flags = set(FLAG.findall(help_of(program)))
    assert flags - {"--audit-log"} and flags <= set(FLAG.findall(done.stdout))
    source = gzip.open(page, "rt").read()
    assert f'"ztna {run(BIN / "ztna", "--version").split()[1]}"' in source.splitlines()[0]


def test_the_tool_s_manual_has_every_command():
    text = gzip.open(DOCUMENTS / "man/ztna.1.gz", "rt").read().replace("\\-", "-")
    for command in (["ca", "issue"], ["policy", "check"], ["lab", "matrix"], ["relay", "off"], ["netcheck"]):
        assert f'.SS "ztna {" ".join(command)}"' in text
        for flag in FLAG.findall(help_of("ztna", *command)):
            assert flag == "--help" or flag in text


def complete_bash(program: str, *words: str) -> list[str]:
    """What is offered in the place of the last word."""
    script = f'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
             f'_{program.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return run("bash", "-c", script, "bash", DOCUMENTS / "bash" / program, program, *words).split()


def complete_zsh(program: str, *words: str) -> list[str]:
    """The same; what zsh's own functions would be given."""
    script = '_describe() { print -l -- ${(P)2} }; _files() { print -- FILES "$@" }; _message() { }; ' \
             'file=$1; shift; words=("$@"); CURRENT=$#; complete() { emulate -L zsh; source "$file" }; complete'
    offered = run(need("zsh"), "-f", "-c", script, "zsh", DOCUMENTS / "zsh" / f"_{program}", program, *words)
    return [line.split(":")[0] for line in offered.splitlines() if line.split(":")[0].startswith(words[-1])]


@pytest.mark.parametrize("complete", [complete_bash, complete_zsh])
def test_completion_offers_commands_flags_and_values(complete):
    assert complete("ztna", "ca", "is") == ["issue"]
    assert set(complete("ztna", "")) >= {"quickstart", "lab", "status", "ca", "netcheck", "--version"}
    assert set(complete("ztna", "ca", "issue", "--role", "")) == {"agent", "connector", "intermediate"}
    assert complete("ztna", "ca", "issue", "--role", "agent", "--na") == ["--name"]
    assert complete("app-connector", "--p2p-l") == ["--p2p-listen-port", "--p2p-listen-address"]
    assert complete("ztna-agent", "--log-format", "") == ["text", "json"]
    assert complete("intermediate-server", "--listen", "") == []


def test_bash_completion_runs_nothing_that_was_typed(tmp_path):
    complete_bash("ztna", f"$(touch {tmp_path}/ran)", "")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("role", PROGRAMS)
def test_each_variable_in_the_example_is_one_of_the_program(role):
    text = (SOURCE / f"deploy/packages/etc/{role}.env").read_text()
    named = re.findall(r"^#(ZTNA_\w+)=(.*)$", text, re.MULTILINE)
    assert len(named) > 5
    known = help_of(PROGRAMS[role])
    for name, _ in named:
        assert re.search(rf"\b{name}\b", known), name
    # All of them together are a configuration that the program accepts, but for what excludes another.
    settings = {**dict(named), "ZTNA_CONTROL": "off", "CERT_DIR": "/etc/ztna/x"}
    settings.pop("ZTNA_NO_P2P", None)
    if role != "agent":
        settings["ZTNA_POLICY"] = "/etc/ztna/p"
    printed = run(BIN / PROGRAMS[role], "--print-config", env=settings)
    for name in settings:
        assert f"environment variable {name}\n" in printed, f"{name}: {printed}"


@pytest.mark.parametrize("role", PROGRAMS)
def test_a_unit_reads_its_example_and_names_only_what_the_program_knows(role):
    unit = (SOURCE / f"deploy/systemd/ztna-{role}.service").read_text()
    assert f"EnvironmentFile=-/etc/ztna/{role}.env" in unit and f"ExecStart=/usr/bin/{PROGRAMS[role]}\n" in unit
    known = help_of(PROGRAMS[role])
    for name in re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE):
        assert name in known or name == "ZTNA_RUNTIME_DIR"
