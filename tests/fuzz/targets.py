"""What is fuzzed: functions of bytes that must return or raise a Refusal, but nothing else, and within seconds.

The first line of an input of `whole` is the name of a model in tests/models; the rest is a certificate.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from checker.certificate import decode_certificate
from checker.cli import describe
from checker.errors import InternalError, Refusal
from checker.kernel import Verdict, verify
from checker.model.weights import Weights, read_weights
from tests.conftest import TESTS
from tests.mutants.changes import about

KEPT = Path(__file__).parent / "corpus"
BUDGET = 1 << 14


def certificate(data: bytes) -> None:
    """A certificate is decoded."""
    decode_certificate(data)


def model(data: bytes) -> None:
    """A model is read, and a certificate that is made to be about it is checked."""
    weights = read_weights(data)
    statement = json.loads((TESTS / "certificates" / "accept" / "tiny--cubic.cert.json").read_bytes())
    statement["predicate"]["model"] |= weights.sizes
    statement["predicate"]["task"]["k"] = weights.sizes["n_ctx"]
    describe(verify(decode_certificate(about(statement, data).data), weights, BUDGET))


@cache
def weights_of(name: str) -> Weights | None:
    path = TESTS / "models" / f"{name}.safetensors"
    return read_weights(path.read_bytes()) if name.replace("-", "").isalnum() and path.exists() else None


def whole(data: bytes) -> None:
    """A certificate is checked with one of the models of the tests."""
    name, _, rest = data.partition(b"\n")
    weights = weights_of(name.decode("ascii", "replace"))
    if weights is not None:
        verdict: Verdict = verify(decode_certificate(rest), weights, BUDGET)
        describe(verdict)


TARGETS: dict[str, Callable[[bytes], None]] = {"certificate": certificate, "model": model, "whole": whole}


def attempt(target: str, data: bytes) -> str:
    """The code of the refusal, or nothing; any other exception is a defect of the checker."""
    try:
        TARGETS[target](data)
    except InternalError:
        raise
    except Refusal as refusal:
        describe(refusal)
        return refusal.code
    return ""
