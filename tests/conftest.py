"""Shared by all tests: where things are, and how to run the checker."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.runs import Run

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy and torch load
settings.register_profile("any-machine", deadline=None)  # how long an example takes says nothing on a busy machine
settings.load_profile("any-machine")

# Collecting makes half a million objects that stay: searching them for garbage, then and in each test, takes long.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


TESTS = Path(__file__).parent
ROOT = TESTS.parent

CheckCert = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shipped() -> Path:
    """A trained model: max-of-4 over 64 tokens."""
    return ROOT / "models" / "max-of-4-seed-123.safetensors"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a module's tests to write to, each over what the one before has left."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of small models."""
    return TESTS / "models"


@pytest.fixture(scope="session")
def certificates() -> Path:
    """The corpus, one folder per outcome."""
    return TESTS / "certificates"


@pytest.fixture(scope="session")
def check_cert() -> CheckCert:
    """Runs `python -m checker` with these arguments."""

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "checker", *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `certgen` with these arguments in this process."""
    return Run(monkeypatch)
