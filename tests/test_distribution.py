"""What is given away: the files of the wheel and of the sdist, their versions and papers, and that they work alone."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest
import yaml
from typer.testing import CliRunner

import certgen
import checker
from certgen.cli import app
from checker.cli import main
from tests.conftest import ROOT

PACKAGES = ("certgen", "checker", "schemas")
# In a repository folder that somebody works in, beside what belongs to it.
LEFTOVERS = (".git", ".venv", "build", "dist", "out", "*.egg-info", "*.pyz", "__pycache__", ".*_cache", ".hypothesis")
OF_COQ = ("*.vo", "*.vo[ks]", "*.glob", ".*.aux", "Makefile.coq*", ".Makefile.coq.d", ".[ln]ia.cache")
BUILD = """
import setuptools.build_meta as backend
print(backend.build_sdist("dist"))
print(backend.build_wheel("dist"))
"""


class Built(NamedTuple):
    """The sources in a folder of their own, and what setuptools makes of them."""

    source: Path
    sdist: Path
    wheel: Path

    def files(self, *folders: str) -> set[str]:
        """The source files below these folders, as paths in the repository."""
        found = (path for folder in folders for path in (self.source / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.source).as_posix() for path in found}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A copy is built, since setuptools takes up what it finds in build/ and writes into the folder it works in."""
    source = tmp_path_factory.mktemp("built") / "source"
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*LEFTOVERS, *OF_COQ))
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sdist, wheel = (source / "dist").glob("*.tar.gz"), (source / "dist").glob("*.whl")
    return Built(source, *sdist, *wheel)


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_is_the_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    prefix = f"compact_proofs-{checker.__version__}.dist-info/"
    assert f"{prefix}licenses/LICENSE" in names
    assert {name for name in names if not name.startswith(prefix)} == built.files(*PACKAGES)
    suffixes = {PurePosixPath(name).suffix or name for name in built.files(*PACKAGES)}
    assert suffixes >= {".py", ".typed", ".css", ".json", ".md", ".safetensors", ".toml"}


def test_the_demo_has_its_model(built: Built) -> None:
    """A link in the repository, a file in the wheel."""
    name = "max-of-4-seed-123.safetensors"
    with zipfile.ZipFile(built.wheel) as archive:
        assert archive.read(f"certgen/shipped/{name}") == (ROOT / "models" / name).read_bytes()


def test_the_sdist_has_everything(built: Built) -> None:
    """What `make test` needs, the papers, and no leftovers."""
    with tarfile.open(built.sdist) as archive:
        found = {PurePosixPath(*PurePosixPath(member.name).parts[1:]) for member in archive if not member.isdir()}
    names = {str(path) for path in found if "egg-info" not in str(path)} - {"PKG-INFO", "setup.cfg"}
    papers = {path.name for path in built.source.iterdir() if path.is_file()}
    folders = (*PACKAGES, ".ci", ".github", "bench", "docs", "formal", "models", "tests", "tools")
    assert names == built.files(*folders) | papers
    assert papers >= {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md"}


def test_the_version_is_one(metadata: Message, capsys: pytest.CaptureFixture[str]) -> None:
    version = checker.__version__
    assert metadata["Version"] == version
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    assert certgen.__version__ == version, "an older version is installed: make lint installs this one"
    assert CliRunner().invoke(app, ["--version"]).stdout == f"certgen {version}\n"
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"check-cert {version}\n"


def test_the_metadata(metadata: Message) -> None:
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"] == "The compact-proofs authors"
    assert metadata.get_all("Project-URL") == ["Paper, https://arxiv.org/abs/2406.11779"]
    assert "mechanistic interpretability" in metadata["Keywords"]


def test_the_citation() -> None:
    """What CFF 1.2.0 requires of a work and of a reference, and the paper."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["license"] == "MIT"
    (paper,) = citation["references"]
    assert paper["url"] == "https://arxiv.org/abs/2406.11779"
    assert paper["type"] == "conference-paper"
    for work in (citation, paper):
        assert work["title"]
        assert all("name" in author or {"given-names", "family-names"} <= set(author) for author in work["authors"])
    assert citation["message"]


def test_the_workflow_runs_on_the_versions_that_are_promised(metadata: Message) -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]
    versions = jobs["test"]["strategy"]["matrix"]["python"]
    promised = [text.rpartition(" ")[2] for text in metadata.get_all("Classifier", []) if ":: Python :: 3." in text]
    assert versions == promised
    assert metadata["Requires-Python"] == f">={versions[0]}"
    assert {"run": ".ci/run"} in jobs["test"]["steps"]
    assert jobs["test"]["env"] == {"PYTHON": "python${{ matrix.python }}"}
    assert {"run": "make build"} in jobs["build"]["steps"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_forms_can_be_read() -> None:
    """Each issue form has a name, a description, and fields with different ids."""
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) > 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert form["name"] and form["description"]
            ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
            assert len(set(ids)) == len(ids) > 0


def test_commits_are_checked_by_what_make_lint_runs() -> None:
    """By the tools of .venv, so without network and in the pinned versions."""
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local"
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in local["hooks"]]
    assert all(hook["language"] == "system" for hook in local["hooks"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = makefile.partition("lint: .venv/test\n")[2].partition("\n\n")[0].replace("$(BIN)", ".venv/bin")
    assert entries == [line.strip().removesuffix(" .") for line in lint.splitlines()]


def test_constraints_pin_each_package_once() -> None:
    names = [line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[0] != "#"]
    assert all(equals and version for _, equals, version in names)
    keys = [name.lower() for name, _, _ in names]
    assert len(set(keys)) == len(keys)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = sum(project["optional-dependencies"].values(), project["dependencies"])
    wanted = {text.partition(">=")[0] for text in asked if "[" not in text}
    assert wanted <= set(keys)


class Fresh:
    """An environment of its own, and a folder to work in, both away from the repository."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.home = folder / "venv" / "bin", folder / "home"
        self.home.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, env=self.environment)

    def run(self, command: str, *arguments: object) -> str:
        """What the command of the environment prints; it succeeds."""
        done = subprocess.run(
            [self.bin / command, *map(str, arguments)],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_works_in_an_empty_environment(kind: str, built: Built, models: Path, tmp_path: Path) -> None:
    """First the checker, without any other package; then, with what the distribution asks for, the generator."""
    fresh, archive = Fresh(tmp_path), getattr(built, kind)
    model, certificate = models / "tiny.safetensors", tmp_path / "tiny.cert.json"
    accepted = ROOT / "tests/certificates/accept/tiny--cubic.cert.json"

    fresh.run("pip", "install", "--quiet", "--no-deps", archive)
    installed: list[dict[str, Any]] = json.loads(fresh.run("pip", "list", "--format=json"))
    assert {package["name"] for package in installed} <= {"compact-proofs", "compact_proofs", "pip", "setuptools"}
    assert fresh.run("check-cert", "--version") == f"check-cert {checker.__version__}\n"
    assert fresh.run("check-cert", model, accepted).startswith("VERIFIED accuracy >= ")
    assert fresh.run("python", "-m", "checker", model, accepted).startswith("VERIFIED accuracy >= ")

    fresh.run("pip", "install", "--quiet", "-c", ROOT / "constraints.txt", archive)
    assert fresh.run("certgen", "--version") == f"certgen {checker.__version__}\n"
    fresh.run("certgen", "prove", model, "-o", certificate)
    assert fresh.run("check-cert", model, certificate).startswith("VERIFIED accuracy ")
    assert "VERIFIED accuracy = " in fresh.run("certgen", "demo")
    where = "import certgen, checker, schemas; print(certgen.__file__, checker.__file__, schemas.__file__)"
    assert str(ROOT) not in fresh.run("python", "-c", where)
