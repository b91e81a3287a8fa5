"""The rules of the sub-cubic family together: any hints give true facts, and nothing stronger is granted."""

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker.errors import Refusal, Rejected
from checker.facts import Tally
from checker.kernel import Verdict
from tests.support.checking import FAMILY
from tests.support.derivations import Meaning, gap_counts, tally_holds
from tests.support.generators import SEEDS, Sizes, tensors_of
from tests.support.hints import SCORE_RULES, bent_proof, by_hand, in_any_units, margin_of
from tests.support.quick_and_slow import quick_and_slow
from tests.support.sub_cubic_readings import LINES
from tests.support.tiny import tiny_model


@quick_and_slow(150, 3300)
def test_any_hints_with_honest_conclusions_are_true(run: settings, workspace: Path) -> None:
    """Every fact means what it says, the certificate is accepted, and its claim is at most the truth."""
    seen: Counter[str] = Counter()

    @run
    @given(seed=SEEDS)
    def true(seed: int) -> None:
        rng = random.Random(seed)
        model, margin = in_any_units(seed), margin_of(seed)
        path = model.write(workspace / "model")
        name = rng.choice(FAMILY)
        honest = json.loads(STRATEGIES[name].prove(ask(path, None, margin), quiet).to_bytes())
        proof = bent_proof(path, margin, honest, rng, seen)

        meaning = Meaning(model.tensors, margin)
        correct = meaning.correct_sequences(path)
        for fact, step in zip(proof.facts, proof.steps, strict=True):
            if isinstance(fact, Tally):
                assert tally_holds(fact, meaning.v, meaning.k, correct), step
                attention, bound, value = (proof.facts[number] for number in step["premises"])
                expected = gap_counts(attention, bound, value, meaning.k, margin)
                assert all(count.correct <= most for count, most in zip(fact.counts, expected, strict=True))
            else:
                assert meaning.is_true(fact), step
        result = proof.outcome(proof.statement([len(proof.steps) - 1]))
        assert isinstance(result, Verdict), str(result)
        assert result.correct == proof.facts[-1].correct <= len(correct)

        claim = proof.statement([len(proof.steps) - 2])
        claim["predicate"]["claim"]["correct"] += 1
        assert code_of(proof.outcome(claim)) == "count-too-large"
        seen["cases"] += 1
        seen["0 < certified"] += result.correct > 0
        seen["more than the constant sequences"] += result.correct > meaning.v
        seen["0 < certified < truth"] += 0 < result.correct < len(correct)
        seen["more than the strategy"] += result.correct > honest["predicate"]["claim"]["correct"]

    true()
    print(f"\nbent hints: {dict(seen)}")
    assert seen["more than the constant sequences"] > 0.12 * seen["cases"]
    assert seen["0 < certified < truth"] > 0.3 * seen["cases"]
    assert all(seen[rule] > 5 for rule in (*SCORE_RULES, "direct_path_centred_spread", "max_token_mean"))


def code_of(result: Verdict | Refusal) -> str:
    assert isinstance(result, Rejected), str(result)
    return result.code


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The position of every integer inside."""
    if isinstance(value, int):
        yield at
    else:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*at, key))


# What makes a fact stronger: the field, which entry of a list, by how much, and the code of the refusal.
STRONGER: dict[tuple[Any, ...], str] = {
    ("centre", -1): "other-centre",
    ("centre", 1): "other-centre",
    ("spread", -1): "bound-too-small",
    ("lines", -1): "bound-too-small",
    ("rows", -1): "bound-too-small",
    ("error", -1): "error-too-small",
    ("kept", -1): "error-too-small",
    ("kept", 1): "error-too-small",
    ("bits", -1): "wrong-unit",
    ("bits", 1): "wrong-unit",
    ("ranges", 0, -1): "range-too-narrow",
    ("ranges", 0, 1): "range-too-narrow",
    ("ranges", 1, 1): "range-too-narrow",
    ("ranges", 2, -1): "range-too-narrow",
    **{("counts", entry, by): "wrong-region" for entry in range(3) for by in (-1, 1)},
    **{("counts", entry, 1): "count-too-large" for entry in (3, 4)},
    ("correct", 1): "count-too-large",
    ("wrong", 1): "count-too-large",
}


def nudges(conclusion: Any) -> Iterator[tuple[Any, str]]:
    """The conclusion with one number changed by one, and the code of the refusal that it deserves ("" for none)."""
    for at in leaves(conclusion):
        if at[-1] == "exponent" and at[0] != "centre":
            continue  # scales a whole table; see the test of units
        for by in (-1, 1):
            changed = copy.deepcopy(conclusion)
            inner = changed
            for key in at[:-1]:
                inner = inner[key]
            inner[at[-1]] += by
            yield changed, STRONGER.get((at[0], at[-1], by), STRONGER.get((at[0], by), ""))


def restated_units(conclusion: Any) -> Iterator[tuple[Any, str]]:
    """The same integers in a unit half or twice as large."""
    for by, name in ((by, name) for by in (-1, 1) for name in ("spread", "lines", "rows", "kept")):
        if name in conclusion:
            changed = copy.deepcopy(conclusion)
            inner = changed[name] if isinstance(changed[name], dict) else changed
            inner["exponent"] += by
            if name == "kept":
                spreads = [max(row) - min(row) for row in inner["kept"]]
                lost = any(size > error for size, error in zip(spreads, inner["error"], strict=True))
                if by < 0 or lost:
                    yield changed, "error-too-small"
            else:
                numbers = [x for row in inner["rows"] for x in row]
                yield changed, "bound-too-small" if (max(numbers) > 0 if by < 0 else min(numbers) < 0) else ""


@pytest.mark.parametrize(
    ("scores", "lines"), [*zip(("score_exact", *SCORE_RULES), cycle(LINES.values()), strict=False)]
)
def test_a_conclusion_stronger_by_one_is_refused(scores: str, lines: str, workspace: Path) -> None:
    """Every number of every conclusion, both ways: stronger is refused there, weaker never is. Each rule occurs."""
    seed = sum(map(ord, lines + scores))
    rng = random.Random(seed)
    tensors = tensors_of("near", Sizes(3, 3, 4, 3), seed)
    path = tiny_model(workspace / "nudged", tensors)
    proof = by_hand(path, Fraction(1, 3), rng, lines, scores)
    certificate = proof.statement([len(proof.steps) - 1])
    assert isinstance(proof.outcome(certificate), Verdict)
    seen: Counter[str] = Counter()
    for number, step in enumerate(proof.steps):
        original = step["conclusion"]
        for step["conclusion"], code in (*nudges(original), *restated_units(original)):
            result = proof.outcome(certificate)
            if code:
                assert code_of(result) == code, step
                assert result.path.startswith(f"predicate.steps[{number}].conclusion")  # type: ignore[union-attr]
            elif isinstance(result, Refusal) and result.code != "out-of-range":  # too weak for a later step
                assert not result.path.startswith(f"predicate.steps[{number}]"), str(result)
            seen[code] += 1
        step["conclusion"] = original
    assert set(seen) == {"", *STRONGER.values()}

    for field, key, code in (
        ("claim", "correct", "count-too-large"),
        ("claim", "wrong", "count-too-large"),
        ("claim", "total", "wrong-total"),
        ("task", "k", "wrong-task"),
        ("model", "d_vocab", "wrong-size"),
    ):
        certificate["predicate"][field][key] += 1
        assert code_of(proof.outcome(certificate)) == code
        certificate["predicate"][field][key] -= 1
    assert isinstance(proof.outcome(certificate), Verdict)
