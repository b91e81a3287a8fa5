"""No accepted certificate is false: on tiny models the truth is known, and everything accepted must stay below it.

Certificates come from every strategy, from mutations of valid certificates, and from an attacker who asks the checker's
own rules for the strongest fact they will grant under arbitrary arguments. `pytest -s` prints how often what happened.
"""

import copy
import dataclasses
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import comb
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from derivations import group, mask_of
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from oracle import Oracle, Truth
from strategies_for_models import GOOD_KINDS, KINDS, Sizes, TinyModel, margins, models, tensors_of
from tiny import tiny_model, zero_tensors

from certgen.models.circuits import Circuits
from certgen.models.model_file import load_model
from certgen.progress import quiet
from certgen.strategies import STRATEGIES
from checker.cli import outcome_of
from checker.errors import Refusal, Rejected, ResourceLimit
from checker.facts import Accuracy, Fact
from checker.kernel import Verdict
from checker.model.weights import read_weights
from checker.problem import Problem
from checker.rules import RULES

BUDGET = 1 << 16
Statement = dict[str, Any]


def quick_and_slow(examples: int) -> pytest.MarkDecorator:
    """`run` is how hypothesis runs: always the same examples by default, ten times as many random ones when slow."""
    common: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}
    common["phases"] = (Phase.explicit, Phase.generate)  # models are tiny as they are; shrinking takes minutes
    quick = settings(max_examples=examples, derandomize=True, **common)
    slow = settings(max_examples=10 * examples, **common)
    return pytest.mark.parametrize(
        "run", [pytest.param(quick, id="quick"), pytest.param(slow, id="slow", marks=pytest.mark.slow)]
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("soundness")


def prove(path: Path, strategy: str, margin: Fraction) -> Statement:
    """The certificate of a strategy, as JSON data."""
    certificate = STRATEGIES[strategy].prove(Circuits(load_model(path), margin), quiet)
    return json.loads(certificate.to_bytes())


def outcome(path: Path, statement: Statement) -> Verdict | Refusal:
    """What check-cert says about a statement; never an internal error."""
    certificate = path.with_suffix(".cert.json")
    certificate.write_text(json.dumps(statement))
    result = outcome_of(str(path), str(certificate), BUDGET)
    assert not isinstance(result, Refusal) or result.exit_code != 70, str(result)
    return result


def verdict(path: Path, statement: Statement) -> Verdict:
    """The verdict on a statement that must be accepted."""
    result = outcome(path, statement)
    assert isinstance(result, Verdict), str(result)
    return result


PLAIN = ("brute-force", "cubic")


def names_for(model: TinyModel) -> list[str]:
    """The strategies for a kind of model: searches for hints in float64 are not for numbers of size 1e300."""
    return [name for name in sorted(STRATEGIES) if name in PLAIN or model.kind != "extreme"]


@st.composite
def strategies(draw: st.DrawFn, model: TinyModel) -> str:
    return draw(st.sampled_from(PLAIN) | st.sampled_from(names_for(model)))


# The oracle itself, against two other ways to know the truth.


def test_oracle_decides_ties_exactly(workspace: Path) -> None:
    """Two tokens, uniform attention: logit_y = number of positions that hold y, so with k = 2 half is a tie."""
    path = tiny_model(
        workspace / "tie", zero_tensors(2, 2, 2, 2, W_E=np.eye(2), W_V=np.eye(2), W_O=np.eye(2), W_U=np.eye(2))
    )
    oracle = Oracle(path)  # logits add the direct path of the query, one more vote for it
    assert oracle.truth(0) == Truth(
        correct=3, clear=3, ties=0, total=4
    )  # wrong: (1, 0), the query outvotes the maximum
    path = tiny_model(workspace / "tie", zero_tensors(2, 2, 1, 1, W_E=[[0], [1]], W_V=[[2]], W_O=[[1]], W_U=[[0, 1]]))
    # logit_1 - logit_0 is q + 2 * mean(x): (0, 0) tie, (0, 1) 2, (1, 0) 1, (1, 1) 3
    assert Oracle(path).truth(0) == Truth(3, 3, 1, 4)
    assert Oracle(path).truth(1) == Truth(2, 2, 1, 4)
    assert Oracle(path).truth(Fraction(1) - Fraction(1, 10**60)).correct == 3
    assert Oracle(path).truth(3) == Truth(0, 0, 1, 4)


@quick_and_slow(60)
def test_oracle_agrees_with_rational_arithmetic_when_attention_is_uniform(run: settings, workspace: Path) -> None:
    tied = 0

    @run
    @given(seed=st.integers(0, 2**32 - 1), v=st.integers(2, 4), k=st.integers(1, 4), numerator=st.integers(0, 6))
    def agree(seed: int, v: int, k: int, numerator: int) -> None:
        nonlocal tied
        tensors = tensors_of("lattice", Sizes(v, k, 3, 2), seed)
        for name in ("blocks.0.attn.W_Q", "blocks.0.attn.b_Q"):
            tensors[name] = np.zeros_like(tensors[name])
        exact = {name.rpartition(".")[2]: np.vectorize(Fraction, otypes=[object])(x) for name, x in tensors.items()}
        W_V, W_O = exact["W_V"][0], exact["W_O"][0]
        margin, correct, ties = Fraction(numerator, k), 0, 0
        for x in product(range(v), repeat=k):
            residual = [exact["W_E"][t] + exact["W_pos"][p] for p, t in enumerate(x)]
            z = sum(r @ W_V + exact["b_V"][0] for r in residual) / Fraction(k)
            logits = (residual[-1] + z @ W_O + exact["b_O"]) @ exact["W_U"] + exact["b_U"]
            lead = max(logits[y] + margin - logits[max(x)] for y in range(v) if y != max(x))
            correct, ties = correct + (lead < 0), ties + (lead == 0)
        truth = Oracle(tiny_model(workspace / "uniform", tensors)).truth(margin)
        assert (truth.correct, truth.ties) == (correct, ties)
        tied += ties > 0

    agree()
    assert tied > 5


@quick_and_slow(25)
def test_oracle_agrees_with_a_forward_pass(run: settings, workspace: Path) -> None:
    """Against mpmath with 100 digits; a comparison closer than 1e-60 is left out."""

    @run
    @given(
        model=models(("normal", "near", "ramp"), most_tokens=3, longest=3),
        margin=st.sampled_from([0, Fraction(1, 3), 2]),
    )
    def agree(model: TinyModel, margin: Fraction) -> None:
        with mpmath.workdps(100):
            W = {name.rpartition(".")[2]: mpmath.matrix(np.atleast_2d(np.squeeze(x, 0) if x.ndim == 3 else x).tolist())
                 for name, x in model.tensors.items()}  # fmt: skip
            v, k, h = W["W_E"].rows, W["W_pos"].rows, W["W_Q"].cols
            row = lambda matrix, i: matrix[i, :]  # noqa: E731
            correct = total = 0
            for x in product(range(v), repeat=k):
                residual = [row(W["W_E"], t) + row(W["W_pos"], p) for p, t in enumerate(x)]
                query = residual[-1] * W["W_Q"] + W["b_Q"]
                scores = [(query * (r * W["W_K"] + W["b_K"]).T)[0] / mpmath.sqrt(h) for r in residual]
                weights = [mpmath.exp(s) for s in scores]
                z = sum((w / sum(weights) * (r * W["W_V"] + W["b_V"]) for w, r in zip(weights, residual, strict=True)),
                        mpmath.zeros(1, h))  # fmt: skip
                logits = (residual[-1] + z * W["W_O"] + W["b_O"]) * W["W_U"] + W["b_U"]
                offset = mpmath.mpf(Fraction(margin).numerator) / Fraction(margin).denominator
                lead = max((logits[y] + offset - logits[max(x)] for y in range(v) if y != max(x)), default=-1)
                assume(abs(lead) > mpmath.mpf(10) ** -60)
                correct, total = correct + (lead < 0), total + 1
        truth = Oracle(model.write(workspace / "forward")).truth(margin)
        assert (truth.correct, truth.ties, truth.total) == (correct, 0, total)

    agree()


# What the strategies write.


@quick_and_slow(200)
def test_every_strategy_proves_something_true(run: settings, workspace: Path) -> None:
    """Accepted, and the certified number is at most the true one."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        names = names_for(model)
        if len(names) > 6:
            names = [*PLAIN, *data.draw(st.lists(st.sampled_from(names), min_size=3, max_size=3))]
        for name in names:
            statement = prove(path, name, margin)
            result = verdict(path, statement)
            assert result.correct == statement["predicate"]["claim"]["correct"] <= truth.correct
            assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
            assert (result.total, result.k) == (truth.total, model.tensors["pos_embed.W_pos"].shape[0])
            assert Fraction(*result.margin) == margin
            seen["cases"] += 1
            seen["0 < certified"] += result.correct > 0
            seen["0 < certified < truth"] += 0 < result.correct < truth.correct
            seen["certified = truth > 0"] += 0 < result.correct == truth.correct
            seen[f"kind {model.kind}"] += 1

    true()
    print(f"\nstrategies: {dict(seen)}")
    assert seen["0 < certified"] > 0.3 * seen["cases"]
    assert all(seen[f"kind {kind}"] for kind in KINDS)


@quick_and_slow(250)
def test_brute_force_finds_every_clearly_correct_sequence(run: settings, workspace: Path) -> None:
    """`Oracle.is_clear` states which sequences the search may not miss. When all correct ones are clear, the certified
    number is the true one."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins())
    def found(model: TinyModel, margin: Fraction) -> None:
        path = model.write(workspace / "model")
        truth = Oracle(path).truth(margin)
        certified = verdict(path, prove(path, "brute-force", margin)).correct
        assert truth.clear <= certified <= truth.correct
        seen["cases"] += 1
        seen["all clear"] += truth.clear == truth.correct
        seen["with ties"] += truth.ties > 0

    found()
    print(f"\nbrute-force: {dict(seen)}")
    assert seen["all clear"] > 0.6 * seen["cases"]
    assert seen["with ties"] > 0


def test_cubic_is_neither_vacuous_nor_always_exact(workspace: Path) -> None:
    """On models that look trained, with d_vocab and n_ctx from 2 to 4."""
    seen: Counter[str] = Counter()
    shares = []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        kind = GOOD_KINDS[seed % 2]
        sizes = Sizes(
            int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(2, 7)), int(rng.integers(2, 5))
        )
        path = TinyModel(kind, "F64", tensors_of(kind, sizes, seed)).write(workspace / "model")
        margin = Fraction(0) if seed % 3 else Fraction(1, 3)
        truth = Oracle(path).truth(margin).correct
        certified = verdict(path, prove(path, "cubic", margin)).correct
        assert certified <= truth
        shares.append(certified / truth if truth else 1)
        seen["> 0"] += certified > 0
        seen["strictly between 0 and the truth"] += 0 < certified < truth
        seen["the truth"] += 0 < certified == truth
    mean = sum(shares) / len(shares)
    print(f"\ncubic, of {len(shares)}: {dict(seen)}, mean share of the truth {mean:.3f}")
    assert seen["> 0"] > 0.9 * len(shares)
    assert seen["strictly between 0 and the truth"] > 0.3 * len(shares)
    assert seen["the truth"] > 0.1 * len(shares)
    assert mean > 0.6


# Margins.


@quick_and_slow(200)
def test_a_larger_margin_never_certifies_more(run: settings, workspace: Path) -> None:
    """For margins a thousandth of the logits apart; closer ones may be rounded to different units."""
    less = 0

    @run
    @given(
        model=models(("normal", "near", "ramp", "lattice", "drawn")),
        pair=st.tuples(margins(), margins()),
        data=st.data(),
    )
    def monotone(model: TinyModel, pair: tuple[Fraction, Fraction], data: st.DataObject) -> None:
        nonlocal less
        name = data.draw(strategies(model))
        path = model.write(workspace / "model")
        small, large = sorted(pair)
        scale = Oracle(path).scale
        assume(large - small > Fraction(int(scale.p), int(scale.q)) / 1000)
        certified = [verdict(path, prove(path, name, margin)).correct for margin in (small, large)]
        assert certified[0] >= certified[1]
        less += certified[0] > certified[1]

    monotone()
    assert less > 10


@quick_and_slow(200)
def test_a_certificate_moved_to_another_margin(run: settings, workspace: Path) -> None:
    """A smaller margin: still accepted, since every bound stated for the larger one holds. A larger one: still true."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), other=margins(), data=st.data())
    def moved(model: TinyModel, margin: Fraction, other: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        statement = prove(path, data.draw(strategies(model)), margin)
        statement["predicate"]["margin"] = str(other)
        result = outcome(path, statement)
        if other <= margin:
            assert isinstance(result, Verdict), str(result)
        if isinstance(result, Verdict):
            assert Fraction(*result.margin) == other
            assert result.correct <= Oracle(path).truth(other).correct
        seen[f"{'smaller' if other <= margin else 'larger'}: {type(result).__name__}"] += 1

    moved()
    print(f"\nmoved to another margin: {dict(seen)}")
    assert seen["larger: Rejected"] > 4


# Mutations of valid certificates.


class Target:
    """A model with certificates of several strategies, and its truth for any margin."""

    def __init__(self, path: Path, margin: Fraction, seed: int) -> None:
        self.path, self.margin = path, margin
        others = [name for name in sorted(STRATEGIES) if name not in PLAIN]
        chosen = [*PLAIN, *random.Random(seed).sample(others, min(3, len(others)))]
        self.statements = [prove(path, name, margin) for name in chosen]
        self.oracle = Oracle(path)

    @lru_cache(maxsize=64)  # noqa: B019 - few targets, as long as the tests
    def truth(self, margin: Fraction) -> Truth:
        return self.oracle.truth(margin)


@pytest.fixture(scope="module")
def targets(workspace: Path) -> list[Target]:
    """Models on which certificates say something, from nothing to everything being correct."""
    made = []
    for seed in range(28):
        rng = np.random.default_rng(1000 + seed)
        kind = ("near", "ramp", "near", "ramp", "lattice", "normal", "wild")[seed % 7]
        sizes = Sizes(
            int(rng.integers(1 + (seed > 3), 5)), int(rng.integers(1 + (seed > 3), 4)), 4, int(rng.integers(2, 5))
        )
        path = TinyModel(kind, "F64", tensors_of(kind, sizes, seed)).write(workspace / f"target-{seed}")
        made.append(Target(path, [Fraction(0), Fraction(1, 3), Fraction(1)][seed % 3], seed))
    return made


Draw = Callable[[st.SearchStrategy[Any]], Any]


def choose(draw: Draw, items: list[Any]) -> Any:
    assume(items)
    return items[draw(st.integers(0, len(items) - 1))]


def changed(draw: Draw, number: int) -> int:
    """Another number: near, far, of the other sign, or with one bit flipped."""
    small = st.integers(-3, 3).map(lambda x: number + x)
    bit = st.integers(0, 70).map(lambda x: number ^ 1 << x)
    huge = st.integers(0, 13000).flatmap(lambda x: st.sampled_from([number + (1 << x), number - (1 << x), 1 << x]))
    fixed = st.sampled_from([0, 1, -1, -number, 2 * number, 10**30, -(10**30)])
    return draw(small | small | bit | huge | fixed)


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every integer inside."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, dict | list):
            yield from leaves(item)
        elif isinstance(item, int):
            yield value, key


def conclusions(statement: Statement, field: str) -> list[list[Any]]:
    """The tables of one kind in the conclusions: "rows", "masks" or "counts"."""
    return [step["conclusion"][field] for step in statement["predicate"]["steps"] if field in step["conclusion"]]


def regions(statement: Statement) -> list[list[int]]:
    """All [m, queries, ns, correct, wrong]."""
    return [row for table in conclusions(statement, "counts") for row in table if len(row) == 5]


def change_any_integer(draw: Draw, statement: Statement) -> None:
    predicate = statement["predicate"]
    part = choose(
        draw, [predicate["steps"], predicate["steps"], predicate["claim"], predicate["model"], predicate["task"]]
    )
    container, key = choose(draw, list(leaves(part)))
    container[key] = changed(draw, container[key])


def change_arguments(draw: Draw, statement: Statement) -> None:
    """Any precision in range."""
    step = choose(draw, [step for step in statement["predicate"]["steps"] if step["args"]])
    for key, value in step["args"].items():
        if key == "exponent":
            step["args"][key] = draw(st.integers(-40, 40).map(value.__add__) | st.integers(-(1 << 14), 1 << 14))
        elif key == "bits":
            step["args"][key] = draw(st.integers(8, 80) | st.sampled_from([8, 9, 500, 4096]))
        elif isinstance(value, int):
            step["args"][key] = changed(draw, value)
        elif key == "groups" and draw(st.booleans()):
            container, at = choose(draw, list(leaves(value)))
            container[at] = changed(draw, container[at])


def change_margin(draw: Draw, statement: Statement) -> None:
    statement["predicate"]["margin"] = str(draw(margins()))


def permute_premises(draw: Draw, statement: Statement) -> None:
    step = choose(draw, [step for step in statement["predicate"]["steps"] if step["premises"]])
    step["premises"] = draw(
        st.permutations(step["premises"])
        | st.lists(st.integers(-1, len(statement["predicate"]["steps"])), max_size=4)
        | st.sampled_from(step["premises"]).map(lambda extra: [*step["premises"], extra])
        | st.sampled_from(step["premises"]).map(lambda one: [number for number in step["premises"] if number != one])
    )


def edit_steps(draw: Draw, statement: Statement) -> None:
    """Duplicate, remove or move a step, with or without renumbering the premises."""
    steps = statement["predicate"]["steps"]
    numbers = list(range(len(steps)))
    at = draw(st.integers(0, len(steps) - 1))
    match draw(st.sampled_from(["duplicate", "remove", "move"])):
        case "duplicate":
            numbers.insert(draw(st.integers(0, len(steps))), at)
        case "remove":
            del numbers[at]
        case "move":
            numbers.remove(at)
            numbers.insert(draw(st.integers(0, len(steps) - 1)), at)
    steps[:] = [copy.deepcopy(steps[number]) for number in numbers]
    if draw(st.booleans()):
        new = {number: position for position, number in enumerate(numbers)}
        for step in steps:
            step["premises"] = [new.get(premise, premise) for premise in step["premises"]]


def move_counts(draw: Draw, statement: Statement) -> None:
    """What one region loses another one wins."""
    amount, at = draw(st.integers(1, 4)), st.integers(3, 4)
    choose(draw, regions(statement))[draw(at)] -= amount
    choose(draw, regions(statement))[draw(at)] += amount


def change_region(draw: Draw, statement: Statement) -> None:
    row = choose(draw, regions(statement))
    at = draw(st.integers(0, 2))
    row[at] = changed(draw, row[at])


def move_region(draw: Draw, statement: Statement) -> None:
    """From one tally to another one, or to another place."""
    tables = conclusions(statement, "counts")
    assume(any(tables))
    source = choose(draw, [table for table in tables if table])
    row = source.pop(draw(st.integers(0, len(source) - 1)))
    target = choose(draw, tables)
    target.insert(draw(st.integers(0, len(target))), row)
    if draw(st.booleans()):
        choose(draw, tables).append(list(row))


def raise_counts(draw: Draw, statement: Statement) -> None:
    """Every count of one tally, or of all, at the number of sequences of its region: correct, or wrong."""
    at = draw(st.sampled_from([3, 3, 4]))
    k = statement["predicate"]["task"]["k"]
    one = choose(draw, conclusions(statement, "counts"))
    for row in regions(statement) if draw(st.booleans()) else [row for row in one if len(row) == 5]:
        m, queries, ns = row[:3]
        if 0 <= m < 10 and 0 <= k < 10 and 0 <= ns < 1 << k + 3:
            row[at] = queries.bit_count() * sum(comb(k - 1, n) * m**n for n in range(k) if ns >> n & 1)


def extra_bits(draw: Draw, statement: Statement) -> None:
    """More accepted tokens: one more, all below m, or ones that do not exist."""
    masks = choose(draw, conclusions(statement, "masks"))
    cells = [(m, row, n) for m, rows in enumerate(masks) for row in rows for n in range(len(row))]
    m, row, n = choose(draw, cells)
    extra = st.sampled_from([(1 << m) - 1, 1 << m, 2 << m, -1, (1 << 70) - 1]) | st.integers(0, m + 1).map(
        lambda t: 1 << t
    )
    row[n] |= draw(extra)


def all_bits(draw: Draw, statement: Statement) -> None:
    for m, rows in enumerate(choose(draw, conclusions(statement, "masks"))):
        for row in rows:
            row[:] = [(1 << m) - 1] * len(row)


def tighten_table(draw: Draw, statement: Statement) -> None:
    """Bounds a little or much too strong, or weaker (then accepted)."""
    rows = choose(draw, conclusions(statement, "rows"))
    by = draw(st.sampled_from([-1, 1, 2, -(2**10), 2**10, -(2**35), 2**35]))
    one = choose(draw, rows)
    for row in rows if draw(st.booleans()) else [one]:
        row[:] = [x + by for x in row]


def reshape(draw: Draw, statement: Statement) -> None:
    """An entry more or less somewhere in a conclusion."""

    def lists(value: Any) -> Iterator[list[Any]]:
        if isinstance(value, list):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            yield from lists(item)

    target = choose(draw, [x for step in statement["predicate"]["steps"] for x in lists(step["conclusion"])])
    if target and draw(st.booleans()):
        target.pop(draw(st.integers(0, len(target) - 1)))
    else:
        target.append(copy.deepcopy(target[-1]) if target else 0)


MUTATIONS = [
    *(change_any_integer, change_any_integer, change_arguments, change_arguments, change_margin, permute_premises),
    *(edit_steps, move_counts, change_region, move_region, raise_counts, extra_bits, all_bits, tighten_table, reshape),
]


def follow_through(statement: Statement) -> None:
    """Make the later steps say what the earlier ones now suggest: a consistent lie."""
    steps = statement["predicate"]["steps"]
    k = statement["predicate"]["task"]["k"]
    for step in steps:
        premises = [steps[number] for number in step["premises"] if 0 <= number < len(steps)]
        if step["rule"] == "count_cubic" and premises and "masks" in premises[0]["conclusion"]:
            masks = [row for rows in premises[0]["conclusion"]["masks"] for row in rows if row]
            for count, row in zip(step["conclusion"]["counts"], masks, strict=False):
                cells = enumerate(row, start=1)
                count[3:4] = [sum(abs(mask).bit_count() ** n * comb(k - 1, n) for n, mask in cells if n < k < 10)]
        if step["rule"] == "total":
            counts = [count for premise in premises for count in premise["conclusion"].get("counts", []) if count]
            for at, name in enumerate(("correct", "wrong"), start=3):
                total = sum(count[at] for count in counts if len(count) > at)
                step["conclusion"][name] = statement["predicate"]["claim"][name] = total


@quick_and_slow(1500)
def test_mutated_certificates_are_refused_or_true(run: settings, targets: list[Target]) -> None:
    seen: Counter[str] = Counter()

    @run
    @given(data=st.data())
    def refused_or_true(data: st.DataObject) -> None:
        target = choose(data.draw, targets)
        statement = copy.deepcopy(choose(data.draw, target.statements))
        original = statement["predicate"]["claim"]["correct"]
        for mutate in data.draw(st.lists(st.sampled_from(MUTATIONS), min_size=1, max_size=3)):
            mutate(data.draw, statement)
        if data.draw(st.booleans()):
            follow_through(statement)
        try:
            result = outcome(target.path, statement)
        except ValueError:  # a number too long for json.dumps
            assume(False)
        seen["cases"] += 1
        seen[result.word if isinstance(result, Refusal) else "VERIFIED"] += 1
        if isinstance(result, Verdict):
            truth = target.truth(Fraction(*result.margin))
            assert result.correct <= truth.correct
            assert result.wrong <= truth.total - truth.correct
            seen["VERIFIED and stronger than the original"] += result.correct > original
        elif isinstance(result, Rejected):
            seen[result.code] += 1

    refused_or_true()
    print(f"\nmutations: {dict(seen)}")
    assert seen["VERIFIED"] > 0.05 * seen["cases"]
    assert seen["REJECTED"] > 0.2 * seen["cases"]
    codes = "bound-too-small token-not-accepted count-too-large wrong-region wrong-shape bad-premise wrong-premises"
    assert all(seen[code] for code in [*codes.split(), "region-covered-twice", "nothing-proved"])


# An attacker who knows the checker: the strongest facts it grants, under arbitrary arguments.


@st.composite
def precisions(draw: st.DrawFn) -> dict[str, int]:
    """Arguments of the rules that enclose exponentials, mostly coarse ones, where enclosures are wide."""
    size = st.sampled_from(range(8, 24)) | st.integers(8, 80) | st.sampled_from([*range(8, 20), 500, 4096])
    return {"bits": draw(size)}


def restated(fact: Any, exponent: int) -> Any:
    """An upper table rounded up to another unit."""
    shift = exponent - fact.exponent
    rows = [[-(-x >> shift) if shift >= 0 else x << -shift for x in row] for row in fact.rows]
    return dataclasses.replace(fact, exponent=exponent, rows=tuple(tuple(row) for row in rows))


class Attacker:
    """Builds a proof by asking the rules themselves; records steps as JSON data."""

    def __init__(self, path: Path, margin: Fraction) -> None:
        self.weights = read_weights(path.read_bytes())
        self.problem = Problem(self.weights, (margin.numerator, margin.denominator), BUDGET)
        self.margin = margin
        self.facts: list[Fact] = []
        self.steps: list[dict[str, Any]] = []

    def step(self, rule: str, premises: list[int], args: dict[str, Any], restate: int | None = None) -> int:
        """The strongest conclusion of a rule; an upper table possibly in a unit 2^restate times as large."""
        decoded = {key: decode(args[key], key) for key, decode in RULES[rule].args.items()}
        fact = RULES[rule].derive(self.problem, tuple(self.facts[number] for number in premises), decoded)
        if restate is not None:
            fact = restated(fact, fact.exponent + restate)  # type: ignore[attr-defined]
        self.facts.append(fact)
        conclusion = json.loads(json.dumps(dataclasses.asdict(fact)))  # type: ignore[call-overload]
        self.steps.append({"rule": rule, "premises": premises, "args": args, "conclusion": conclusion})
        return len(self.steps) - 1

    def statement(self, tallies: list[int]) -> Statement:
        number = self.step("total", tallies, {})
        fact = self.facts[number]
        assert isinstance(fact, Accuracy)
        sizes = self.weights.sizes
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model", "digest": {"sha256": self.weights.file_digest}}],
            "predicateType": "urn:compact-proofs:accuracy-certificate:v1",
            "predicate": {
                "formatVersion": 1,
                "task": {"name": "max-of-k", "k": sizes["n_ctx"]},
                "model": {**sizes, "tensors": self.weights.tensor_digests},
                "semantics": "exact-real",
                "margin": str(self.margin),
                "claim": {"correct": fact.correct, "wrong": fact.wrong, "total": sizes["d_vocab"] ** sizes["n_ctx"]},
                "strategy": "attack",
                "steps": self.steps,
            },
        }


def lane_args(draw: Draw) -> dict[str, int]:
    return {"exponent": draw(st.integers(-60, 5) | st.integers(-(1 << 14), 1 << 14)), **draw(precisions())}


def attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Everything the rules of the cubic proof, of enumeration, or for sets of queries grant under drawn arguments."""
    attacker = Attacker(path, margin)
    match draw(st.integers(0, 4)):
        case 0:
            return attacker.statement([attacker.step("enumerate_sequences", [], lane_args(draw))])
        case 1 | 2:
            return region_attack(path, margin, draw)
    units = st.none() | st.integers(-100, 200)
    rounding = {"exponent": draw(st.integers(-200, 10) | st.integers(-3000, 1 << 14))}
    u = attacker.step("direct_path_upper", [], rounding, draw(units))
    c = attacker.step("value_path_upper", [], {}, draw(units))
    tokens = attacker.step("cubic_tokens", [u, c], draw(precisions()))
    return attacker.statement(
        [attacker.step("pure_sequences", [], lane_args(draw)), attacker.step("count_cubic", [tokens], {})]
    )


def region_attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Every pair (q, m) given to one of the rules that take sets of queries."""
    attacker = Attacker(path, margin)
    v, k = attacker.problem.v, attacker.problem.k
    rules = ("branch_sequences", "separable_counts")
    queries = {name: [0] * v for name in rules}
    for m in range(v):
        for q in range(m if k == 1 else 0, m + 1):
            queries[draw(st.sampled_from(rules))][m] |= 1 << q
    first, second = (queries[name] for name in rules)
    scores = attacker.step("score_exact", [], {})
    return attacker.statement(
        [
            attacker.step("branch_sequences", [], {"queries": first, **lane_args(draw)}),
            attacker.step("separable_counts", [scores], {"groups": groups(draw, second, k), **lane_args(draw)}),
        ]
    )


def cover(draw: Draw, tokens: list[int]) -> list[int]:
    """Sets that together hold these tokens: apart, all together, anything between; some tokens more than once."""
    if not tokens:
        return []
    owner = draw(st.lists(st.integers(0, len(tokens) - 1), min_size=len(tokens), max_size=len(tokens)))
    classes = [[y for y, other in zip(tokens, owner, strict=True) if other == number] for number in set(owner)]
    more = draw(st.just([]) | st.lists(st.lists(st.sampled_from(tokens), min_size=1, max_size=3, unique=True)))
    return [mask_of(members) for members in draw(st.permutations([*classes, *more[:2]]))]


def partition(draw: Draw, members: list[int], most: int = 3) -> list[int]:
    """These members, each in exactly one set."""
    owner = draw(st.lists(st.integers(0, most - 1), min_size=len(members), max_size=len(members)))
    parts = [mask_of(x for x, other in zip(members, owner, strict=True) if other == number) for number in set(owner)]
    return list(draw(st.permutations(parts)))


def groups(draw: Draw, queries: list[int], k: int) -> list[dict[str, Any]]:
    """Groups that count every query of these masks, one mask per maximum, exactly once."""
    made = []
    steps = st.integers(1, 8) | st.integers(1, 300) | st.sampled_from([255, 256, 1 << 10])
    for m, wanted in enumerate(queries):
        left = [q for q in range(m + 1) if wanted >> q & 1]
        for mask in partition(draw, left, 2):
            classes = cover(draw, [y for y in range(len(queries)) if y != m])
            blocks = partition(draw, [q for q in left if mask >> q & 1])
            made.append(group((len(queries), k), m, draw(steps), classes, blocks, partition(draw, list(range(k - 1)))))
    return draw(st.permutations(made))


def table(draw: Draw, rows: int, columns: int) -> list[list[int]]:
    numbers = st.lists(st.integers(-4, 4), min_size=columns, max_size=columns)
    return draw(st.lists(numbers, min_size=rows, max_size=rows))


def projector(draw: Draw, size: int) -> dict[str, Any]:
    """Any; once in a while of the wrong shape."""
    rank = draw(st.integers(1, 2))
    rows = draw(st.sampled_from([size] * 20 + [1]))
    return {
        "onto": table(draw, rows, rank),
        "along": table(draw, rank, size),
        "exponent": draw(st.sampled_from([-1, -2, -3, -10])),
    }


def score_step(attacker: Attacker, draw: Draw) -> int:
    """Some approximation of the scores."""
    d, h = attacker.weights.sizes["d_model"], attacker.weights.sizes["d_head"]
    names = [name for name in RULES if name.startswith("score_")]
    name = draw(st.just("score_exact") | st.sampled_from(names))
    four = draw(st.booleans()) and name != "score_singular_value"
    args: dict[str, Any] = {}
    if "peels" in RULES[name].args:
        args["peels"] = [projector(draw, size) for size in ([d, h, d, d] if four else [d])]
    if "bases" in RULES[name].args:
        args["bases"] = [projector(draw, size) for size in ([d, h, d] if four else [d])] if draw(st.booleans()) else []
    if "means" in RULES[name].args:
        args["means"] = draw(st.integers(0, 3 if name == "score_recursive_spread" else 1))
    if name == "score_singular_value":
        identity = [[int(i == j) for j in range(d)] for i in range(d)]
        args |= {key: -4 for key in RULES[name].args if key.endswith("exponent")}
        args |= {"sigma": draw(st.integers(0, 1 << 12)), "ridge": draw(st.integers(0, 1 << 4))}
        args["witness"] = draw(st.sampled_from([identity, table(draw, d, d)]))
    return attacker.step(name, [], args)


def sub_cubic_attack(path: Path, margin: Fraction, draw: Draw) -> Statement:
    """Everything the rules of the sub-cubic family grant under drawn arguments, some of them out of shape."""
    attacker = Attacker(path, margin)
    sizes = attacker.weights.sizes
    v, k, d = sizes["d_vocab"], sizes["n_ctx"], sizes["d_model"]
    if draw(st.booleans()):
        direct = attacker.step("direct_path_spread", [], {})
    else:
        rows = draw(st.sampled_from([1] * 8 + [v, k, 0]))
        centre = {"exponent": draw(st.integers(-4, -2)), "rows": table(draw, rows, d)}
        direct = attacker.step("direct_path_centred_spread", [], {"centre": centre})
    name = draw(st.sampled_from([name for name in RULES if name.startswith("max_token_")]))
    args = {"centres": {"exponent": -3, "rows": table(draw, v, k)}} if name == "max_token_mean" else {}
    lines = attacker.step(name, [direct], args)
    scores = score_step(attacker, draw)

    def gap(q: int, m: int, n: int) -> int:
        wide = draw(st.integers(0, 99)) == 0  # not allowed
        most = m + 1 if wide else m if q == m and n else max(m - q, 0)
        return draw(st.integers(0 if wide else min(most, 1), most))

    gaps = [[[gap(q, m, n) for n in range(k - (q < m))] for q in range(m + 1)] for m in range(v)]
    ranges = attacker.step("attention_ranges", [scores], {**draw(precisions()), "gaps": gaps})
    spread = attacker.step("value_path_spread", [], {}, draw(st.none() | st.integers(-20, 60)))
    return attacker.statement([attacker.step("gap_cells", [ranges, lines, spread], {})])


def one_more(draw: Draw, statement: Statement) -> None:
    """One sequence too many: in the claim alone, from the total on, or from one region on."""
    predicate = statement["predicate"]
    at, name = draw(st.sampled_from([(3, "correct"), (3, "correct"), (4, "wrong")]))
    predicate["claim"][name] += 1
    start = draw(st.sampled_from(["claim", "total", "region"]))
    if start != "claim":
        predicate["steps"][-1]["conclusion"][name] += 1
    if start == "region":
        choose(draw, regions(statement))[at] += 1


def critical(oracle: Oracle, margin: Fraction, draw: Draw) -> Fraction:
    """The margin, or one that makes some sequence just barely wrong, where every error of rounding would tell."""
    if draw(st.booleans()):
        return margin
    return oracle.barely_wrong_margin(tuple(draw(st.integers(0, oracle.v - 1)) for _ in range(oracle.k)))


@quick_and_slow(400)
def test_the_strongest_facts_under_any_arguments_are_true(run: settings, workspace: Path) -> None:
    """Accepted with equality, at most the truth; and one more sequence anywhere is one too many."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        oracle = Oracle(path)
        margin = critical(oracle, margin, data.draw)
        statement = attack(path, margin, data.draw)
        truth = oracle.truth(margin)
        result = verdict(path, statement)
        correct = result.correct
        assert correct == statement["predicate"]["claim"]["correct"] <= truth.correct
        assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
        seen["cases"] += 1
        seen["0 < certified"] += correct > 0
        seen["0 < certified < truth"] += 0 < correct < truth.correct
        seen["certified = truth > 0"] += 0 < correct == truth.correct

        one_more(data.draw, statement)
        refusal = outcome(path, statement)
        assert isinstance(refusal, Rejected)
        assert refusal.code == "count-too-large"

    true()
    print(f"\nstrongest facts: {dict(seen)}")
    assert seen["0 < certified"] > 0.2 * seen["cases"]


@quick_and_slow(500)
def test_the_strongest_facts_of_the_sub_cubic_family_are_true(run: settings, workspace: Path) -> None:
    seen: Counter[str] = Counter()

    @run
    @given(model=models(GOOD_KINDS * 5 + KINDS), margin=st.just(Fraction(0)) | margins(), data=st.data())
    def true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        oracle = Oracle(path)
        margin = critical(oracle, margin, data.draw)
        seen["cases"] += 1
        try:
            statement = sub_cubic_attack(path, margin, data.draw)
        except Rejected as refusal:
            seen[refusal.code] += 1
            return
        truth = oracle.truth(margin)
        result = verdict(path, statement)
        correct = result.correct
        assert correct == statement["predicate"]["claim"]["correct"] <= truth.correct
        assert result.wrong == statement["predicate"]["claim"]["wrong"] <= truth.total - truth.correct
        seen["accepted"] += 1
        seen["more than the constant sequences"] += correct > len(model.tensors["embed.W_E"])
        seen["0 < certified < truth"] += 0 < correct < truth.correct

    true()
    print(f"\nstrongest facts, sub-cubic: {dict(seen)}")
    assert seen["accepted"] > 0.5 * seen["cases"]
    assert seen["more than the constant sequences"] > 5


def coarse_proofs(path: Path, margin: Fraction, rng: np.random.Generator) -> Iterator[tuple[str, int]]:
    """By rule, how many sequences it grants at a precision of few bits."""

    def weights() -> dict[str, int]:
        return {"bits": int(rng.integers(8, 16))}

    def total(name: str, attacker: Attacker, tallies: list[int]) -> tuple[str, int]:
        return name, attacker.statement(tallies)["predicate"]["claim"]["correct"]

    for name in ("enumerate_sequences", "branch_sequences", "separable_counts"):
        attacker = Attacker(path, margin)
        v, k = attacker.problem.v, attacker.problem.k
        args: dict[str, Any] = {"exponent": int(rng.integers(-60, 0)), **weights()}
        args["queries"] = [(2 << m) - 1 if k > 1 else 1 << m for m in range(v)]
        steps, apart = int(rng.integers(1, 3000)), rng.integers(0, 2)
        args["groups"] = [group((v, k), m, steps, None if apart else [(1 << v) - 1 ^ 1 << m]) for m in range(v)]
        premises = [attacker.step("score_exact", [], {})] if name == "separable_counts" else []
        yield total(name, attacker, [attacker.step(name, premises, {key: args[key] for key in RULES[name].args})])

    attacker = Attacker(path, margin)
    u = attacker.step("direct_path_upper", [], {"exponent": -40}, int(rng.integers(-5, 80)))
    c = attacker.step("value_path_upper", [], {}, int(rng.integers(-5, 80)))
    tokens = attacker.step("cubic_tokens", [u, c], weights())
    pure = attacker.step("pure_sequences", [], {"exponent": int(rng.integers(-60, 0)), **weights()})
    yield total("cubic_tokens", attacker, [pure, attacker.step("count_cubic", [tokens], {})])

    for scores in ("score_exact", "score_residual_spread", "score_recursive_spread"):
        attacker = Attacker(path, margin)
        v, k, d = attacker.problem.v, attacker.problem.k, attacker.weights.sizes["d_model"]
        direct = attacker.step("direct_path_spread", [], {})
        lines = attacker.step("max_token_envelope", [direct], {})
        peel = {"onto": rng.integers(-1, 2, (d, 1)).tolist(), "along": rng.integers(-1, 2, (1, d)).tolist()}
        args = {"peels": [{**peel, "exponent": -4}], "means": int(rng.integers(0, 2))}
        approximated = attacker.step(scores, [], {key: args[key] for key in RULES[scores].args})
        gap = int(rng.integers(1, v))
        gaps = [
            [
                [gap * (gap <= m and (n > 0 if q == m else q <= m - gap)) for n in range(k - (q < m))]
                for q in range(m + 1)
            ]
            for m in range(v)
        ]
        ranges = attacker.step("attention_ranges", [approximated], {**weights(), "gaps": gaps})
        spread = attacker.step("value_path_spread", [], {}, int(rng.integers(-5, 80)))
        yield total(f"gap_cells, {scores}", attacker, [attacker.step("gap_cells", [ranges, lines, spread], {})])


@pytest.mark.parametrize("seeds", [range(200), pytest.param(range(200, 2200), marks=pytest.mark.slow)], ids=str)
def test_coarse_precision_never_helps(seeds: range, workspace: Path) -> None:
    """With a margin at which one sequence is wrong by a hair, an error of rounding in the wrong direction is a lie."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng = np.random.default_rng(seed)
        kind = (*GOOD_KINDS, "ramp", "normal")[seed % 4]
        sizes = Sizes(
            int(rng.integers(2, 5)), int(rng.integers(1, 5)), int(rng.integers(2, 6)), int(rng.integers(2, 5))
        )
        path = TinyModel(kind, "F64", tensors_of(kind, sizes, seed)).write(workspace / "model")
        oracle = Oracle(path)
        margin = oracle.barely_wrong_margin(tuple(rng.integers(0, sizes.v, size=sizes.k).tolist()))
        correct = oracle.truth(margin).correct
        for name, certified in coarse_proofs(path, margin, rng):
            assert certified <= correct, (name, seed)
            seen[name] += certified > 0
        seen["models"] += 1
    print(f"\ncertified > 0 at few bits: {dict(seen)}")
    assert all(seen[name] for name in seen)


@quick_and_slow(120)
def test_maximal_facts_are_refused_or_true(run: settings, workspace: Path) -> None:
    """Certificates that accept every token and count every sequence of every region."""
    seen: Counter[str] = Counter()

    @run
    @given(model=models(), margin=margins(), data=st.data())
    def refused_or_true(model: TinyModel, margin: Fraction, data: st.DataObject) -> None:
        path = model.write(workspace / "model")
        statement = attack(path, margin, data.draw)
        if conclusions(statement, "masks"):
            all_bits(data.draw, statement)
        raise_counts(data.draw, statement)
        follow_through(statement)
        result = outcome(path, statement)
        if isinstance(result, Verdict):
            truth = Oracle(path).truth(margin)
            assert result.correct <= truth.correct
            assert result.wrong <= truth.total - truth.correct
        else:
            assert isinstance(result, Rejected)
            assert result.code in ("token-not-accepted", "count-too-large")
        seen[result.code if isinstance(result, Refusal) else "VERIFIED"] += 1

    refused_or_true()
    print(f"\nmaximal facts: {dict(seen)}")
    assert seen["token-not-accepted"] and seen["count-too-large"] and seen["VERIFIED"]


# Size limits are refusals of their own kind, not failures.


def test_enumeration_over_budget_is_a_resource_limit(workspace: Path) -> None:
    path = TinyModel("near", "F64", tensors_of("near", Sizes(4, 4, 5, 4), 0)).write(workspace / "model")
    statement = prove(path, "brute-force", Fraction(0))
    certificate = workspace / "model.cert.json"
    certificate.write_text(json.dumps(statement))
    result = outcome_of(str(path), str(certificate), 4**4 - 1)
    assert isinstance(result, ResourceLimit)
    assert isinstance(outcome_of(str(path), str(certificate), 4**4), Verdict)
