"""Certificates from the strategies, and what check-cert says about them."""

import json
from fractions import Fraction
from functools import partial
from pathlib import Path

from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker.cli import check
from checker.errors import Refusal
from checker.jobs import outcome_of
from checker.kernel import Verdict
from tests.support.derivations import BUDGET, Statement


def prove(path: Path, strategy: str, margin: Fraction) -> Statement:
    """The certificate of a strategy, as JSON data."""
    certificate = STRATEGIES[strategy].prove(ask(path, None, margin), quiet)
    return json.loads(certificate.to_bytes())


def outcome(path: Path, statement: Statement) -> Verdict | Refusal:
    """What check-cert says about a statement; never an internal error."""
    certificate = path.with_suffix(".cert.json")
    certificate.write_text(json.dumps(statement))
    result = outcome_of(partial(check, str(path), str(certificate), BUDGET))
    assert not isinstance(result, Refusal) or result.exit_code != 70, str(result)
    return result


def verdict(path: Path, statement: Statement) -> Verdict:
    """The verdict on a statement that must be accepted."""
    result = outcome(path, statement)
    assert isinstance(result, Verdict), str(result)
    return result


PLAIN = ("brute-force", "cubic")
FAMILY = sorted(name for name in STRATEGIES if name.startswith("sub-cubic/"))
