"""The sub-cubic family: every member proves true things."""

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

from hypothesis import given, settings

from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker.kernel import Verdict
from tests.support.checking import FAMILY
from tests.support.derivations import Derivation
from tests.support.generators import SEEDS
from tests.support.hints import in_any_units, margin_of
from tests.support.oracle import Oracle
from tests.support.quick_and_slow import quick_and_slow


@quick_and_slow(45, 900)
def test_the_whole_family_proves_something_true(run: settings, workspace: Path) -> None:
    """Accepted, at most the truth; and most certificates say more than that constant sequences are correct."""
    seen: Counter[str] = Counter()
    proved: set[str] = set()

    @run
    @given(seed=SEEDS)
    def true(seed: int) -> None:
        model, margin = in_any_units(seed), Fraction(0) if seed % 5 == 0 else margin_of(seed)
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin).correct
        question = ask(path, None, margin)
        v, k = question.model.d_vocab, question.task.k
        for name in [FAMILY[(seen["models"] * 7 + 22 * i) % len(FAMILY)] for i in range(7)]:
            statement = json.loads(STRATEGIES[name].prove(question, quiet).to_bytes())
            result = Derivation(path, margin).outcome(statement)
            assert isinstance(result, Verdict), f"{name}: {result}"
            assert result.correct == statement["predicate"]["claim"]["correct"] <= truth
            assert (result.total, Fraction(*result.margin)) == (v**k, margin)
            proved.add(name)
            seen["cases"] += 1
            seen["truth > 0"] += truth > 0
            seen["0 < certified"] += result.correct > 0
            seen["more than the constant sequences"] += result.correct > v
            seen["possible to say more"] += truth > v
        seen["models"] += 1
        seen[f"{model.dtype}"] += 1
        seen["margin > 0"] += margin > 0

    true()
    print(f"\nfamily: {dict(seen)}, members {len(proved)}")
    assert proved == set(FAMILY)
    assert seen["0 < certified"] > 0.6 * seen["truth > 0"]
    assert seen["more than the constant sequences"] > 0.3 * seen["possible to say more"]
    assert min(seen["F64"], seen["F32"], seen["margin > 0"]) > 0.2 * seen["models"]
