"""The budget of a check: refused before the work, with what was asked for; what is declared bounds what is done."""

from functools import reduce
from pathlib import Path

import pytest

from certgen.length import Meter, length_of
from checker.budget import LEAST, MEMORY, MOST, Budget, Cost, Span, allowed, longest, memory_of, product, span, words
from checker.certificate import decode_certificate
from checker.errors import ResourceLimit
from checker.kernel import declared, one_by_one, problem_of
from checker.model.forward import Forward, work
from checker.model.weights import read_weights
from checker.rules import RULES
from checker.rules.costs import BY_VALUES, COSTS
from tests.support.any_model import any_model_bytes, architecture, zeros
from tests.support.corpus import content, model_of


def refused(budget: Budget, costs: list[Cost]) -> tuple[str, str]:
    with pytest.raises(ResourceLimit) as caught:
        budget.charge(costs)
    assert caught.value.code == "over-budget"
    return caught.value.expected, caught.value.got


def test_operations_add_up_over_steps() -> None:
    budget = Budget(10)
    assert budget.charge([Cost("a", 4), Cost("b", 2)]) == Cost("", 6)
    assert budget.charge([Cost("a", 4)]) == Cost("", 4)
    assert refused(budget, [Cost("few", 0), Cost("one more", 1)]) == (
        "at most 10 operations in all (raise --budget)",
        "11, most of them for one more",
    )


def test_numbers_too_long_to_be_printed_are_refused_all_the_same() -> None:
    """Python prints no integers of more than 4,300 digits."""
    assert refused(Budget(10), [Cost("a", 10**5000)])[1] == "an integer of 16610 bits, most of them for a"
    assert refused(Budget(10), [Cost("a", 1, 10**5000)])[1] == "an integer of 16610 bits, most of them for a"


def test_what_is_kept_is_made_once() -> None:
    budget = Budget(10)
    table = Cost("table", 7, 100, "key")
    assert budget.charge([table, Cost("own", 1, 30)]) == Cost("", 8, 130)
    assert budget.charge([table, Cost("own", 1, 50)]) == Cost("", 1, 150)
    assert budget.held == 100
    assert refused(budget, [Cost("table", 7, 100, "another")])[1].startswith("16")


def test_memory_is_what_is_kept_and_what_a_step_needs() -> None:
    budget = Budget(10)
    most = budget.memory
    budget.charge([Cost("table", 1, most - 10, "key")])
    budget.charge([Cost("own", 1, 10)])
    budget.charge([Cost("own", 1, 10)])  # it was given back
    assert refused(budget, [Cost("small", 0, 1), Cost("large", 0, 10)]) == (
        f"at most {most} bytes of tables (raise --budget)",
        f"{most + 1}, most of them for large",
    )


def test_what_only_values_tell_is_spent_from_the_same() -> None:
    budget = Budget(10)
    budget.charge([Cost("declared", 4)])
    budget.rule = "a rule"
    budget.step = 0
    budget.spend(2)
    budget.spend(1, "shared")
    budget.step = 1
    budget.spend(2)
    budget.spend(1, "shared")  # all of it, whoever asks
    assert (budget.found, budget.spent) == ({0: 2, "shared": 1, 1: 2}, 5)
    budget.spend(1)
    with pytest.raises(ResourceLimit) as caught:
        budget.spend(1)
    assert (caught.value.code, caught.value.exit_code) == ("over-budget", 5)
    assert caught.value.got == "more for a rule, by its values"


def test_what_is_allowed() -> None:
    assert allowed(0) == LEAST < allowed(100) < allowed(1000) < MOST == allowed(1 << 40)
    assert memory_of(1) == MEMORY < memory_of(1 << 40)


def test_sizes_are_bounds() -> None:
    assert [words(bits) for bits in (0, 255, 256, 512)] == [1, 1, 2, 3]
    assert product(8, 8) == 1
    assert product(256 * 7, 256 * 3) == 8 * 8 or product(256 * 7, 256 * 3) >= 8 * 4
    assert product(256 * 999, 0) == 1000
    assert 256**2 > product(256 * 255, 256 * 255) > 256
    assert longest([[0, -5], [], [3]]) == 3
    assert longest([]) == 0
    rows, others = span([[3, -4], [1, 0]], -2), span([[7, 1]], 3)
    assert (rows, others, rows.bits) == (Span(-2, 1), Span(3, 6), 3)
    assert rows.plus(others) == Span(-2, 7)  # 7 * 2^3 + 1 is below 2^7
    assert rows.times(others, 2) == Span(1, 9)


def test_every_rule_declares_its_cost() -> None:
    assert set(COSTS) == set(RULES) >= BY_VALUES


# Of every strategy and rule. Where numbers have 10,000 bits and more, counted operations are far more than those of
# Karatsuba's method, which are declared.
ACCEPTED = [
    *("tiny--brute-force", "tiny--cubic", "tiny--exact", "tiny--adaptive", "tiny--both-sides-own-classes"),
    *("tiny--separable-by-max", "tiny--separable-exact", "tiny--separable-relaxed", "tiny--regions", "tiny--profile"),
    *("tiny--sub-cubic--global-max-diff-exact--upper-envelope--max-diff-exact", "final-norm--regions-beside"),
    "tiny--sub-cubic--max-diff--drop-average-query-per-output-logit-reasoning--mean+max-diff-subproduct",
    "tiny--sub-cubic--mean-query+max-diff--upper-envelope--mean-recursive+max-diff-subproduct-recursive",
    *("tiny--sub-cubic--svd-query+max-diff--mean-query+diff--svd", "two-heads-relu--regions-beside"),
    *("two-blocks--exact", "one-token--cubic", "one-position--exact", "mixed-dtypes--exact", "three-heads--exact"),
]


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_declared_bounds_what_is_done(name: str, certificates: Path) -> None:
    """Of the operations that the length counts, each of 64 bits, at most four are one of the budget."""
    path = certificates / "accept" / f"{name}.cert.json"
    model, data = model_of(path).read_bytes(), content(path)
    certificate = decode_certificate(data)
    problem = problem_of(certificate, read_weights(model), 1 << 40)
    list(declared(problem, certificate.steps))
    one_by_one(problem, certificate.steps)
    spent = problem.budget.declared + problem.budget.spent
    done = length_of(model, data).derivation
    assert done <= 4 * spent
    assert spent <= 30 * done
    assert problem.budget.spent == 0 or BY_VALUES & {step.rule for step in certificate.steps}


@pytest.mark.parametrize("width", [8, 1024])
def test_scores_of_wide_heads_and_many_positions_are_declared(width: int) -> None:
    """Nearly all of the work is products of queries and keys, of which a matrix has none."""
    given, k, bits = architecture(blocks=2), 36, 30
    sizes = {"d_vocab": 1, "d_model": 1, "n_ctx": k, "d_vocab_out": 1, "n_heads": 1, "d_head": width}
    data = any_model_bytes(zeros(given, sizes), given)
    meter = Meter()
    weights = read_weights(data, meter.read)
    forward, before = Forward(weights, k, k - 1, bits), meter.length
    forward.logits(reduce(forward.after, [0] * k, forward.start))
    assert meter.length - before <= 4 * k * work(weights, k, bits)
