"""The five-minute tour of README, word for word, in a network of its own: it uses fixed ports."""

import os
import pathlib
import re
import subprocess

from backends import need
from netns import require_netns
from ztna import BIN

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def tour() -> str:
    section = README.read_text().split("## The same by hand", 1)[1]
    return re.search(r"```sh\n(.*?)```", section, re.DOTALL).group(1)


def test_the_tour_works_word_for_word(tmp_path):
    require_netns()
    # Only where the binaries lie differs: README's reader has built release.
    script = tour().replace('"$PWD/build/release/bin:$PATH"', f'"{BIN}:$PATH"')
    assert str(BIN) in script, "README puts build/release/bin into PATH"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ZTNA_")}
    done = subprocess.run([need("unshare"), "-n", "--", "bash", "-euc", f"ip link set dev lo up\n{script}"],
                          cwd=tmp_path, env={**environment, "TMPDIR": str(tmp_path)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Hello through the tunnel\n") == 2, f"twice:\n{done.stdout}{done.stderr}"
    assert "allowed: agent alice may reach web (allow[1] at policy.toml:" in done.stdout
    assert "agent alice of example.org: ready" in done.stdout
    assert re.search(r"connector/home +ready +(DIRECT|RELAY) via ", done.stdout), done.stdout
