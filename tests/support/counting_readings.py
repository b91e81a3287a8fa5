"""Readings of separable_counts that are wrong: checkers bent on purpose, each with the groups that show it.

with READINGS["nothing needed"].bent():
    ...                               # on some model a bent checker grants a count that is too large
"""

import contextlib
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import mul
from typing import Any, NamedTuple
from unittest.mock import patch

import checker.lemmas.gains as gains_module
from checker.arithmetic.packing import members
from checker.lemmas.counting import Tables, count_reaching, largest_sum
from checker.lemmas.gains import Gains, Weights, gain_bounds, largest_products, least_gains
from checker.lemmas.groups import Group
from checker.lemmas.paths import Ends
from checker.lemmas.separation import Numerators
from checker.rules.separable_counts import by_token
from tests.support.derivations import Derivation
from tests.support.groups import Args, Cutter, any_groups, fitting, group, with_cuts

rule = sys.modules["checker.rules.separable_counts"]  # in the package the rule hides the module of its name
Bent = Callable[[], contextlib.AbstractContextManager[object]]
Made = Callable[[random.Random, Derivation, int], Args]  # arguments for a model and a step that bounds its scores

COARSE = {"exponent": -8, "bits": 8}
FINE = {"exponent": -40, "bits": 40}


# What is asked.


def any_case(rng: random.Random, derivation: Derivation, scores: int, precision: dict[str, int] = FINE) -> Args:
    """Every query of every maximum, in groups of any kind."""
    queries = [(2 << m) - 1 for m in range(derivation.problem.v)]
    return any_groups(rng, derivation, scores, precision, queries)


def whole_case(
    rng: random.Random,
    derivation: Derivation,
    scores: int,
    *,
    factors: int = 0,
    parts: bool = False,
    below: bool = False,
    apart: bool = True,
    classes: str = "together",
    one: bool = False,
    precision: dict[str, int] = FINE,
    cutter: Cutter | None = None,
    edit: Callable[[random.Random, Args], None] | None = None,
) -> Args:
    """Groups of all queries of each maximum, or of one query of one maximum, made to order."""
    v, k = derivation.problem.v, derivation.problem.k
    made = []
    for m in rng.sample(range(1, v), 1) if one else range(1, v):
        others = [y for y in range(v) if y != m]
        sets = [(1 << v) - 1 ^ 1 << m] if classes == "together" else None
        queries = [1 << rng.randrange(m + 1)] if one else None if apart else [(2 << m) - 1]
        tokens = rng.sample(range(m), 1) if parts else []
        wanted = group((v, k), m, sets, queries, parts=tokens, below=rng.choice(others) if below else None)
        for row in wanted["classes"] if factors else []:
            row += [rng.choice([1, rng.randint(1, factors)]) for _ in range(row[0].bit_count())]
        if edit:
            edit(rng, wanted)
        made.append(wanted)
    return with_cuts(derivation, scores, {**precision, "groups": made}, cutter or fitting(3000))


gauged = partial(whole_case, factors=50)
from_below = partial(whole_case, below=True)
parts_from_below = partial(whole_case, below=True, parts=True)
parts_of_blocks = partial(whole_case, parts=True, apart=False, classes="apart")


def only_first_parts(rng: random.Random, wanted: Args) -> None:
    """Without the last."""
    for block in wanted["blocks"]:
        block["parts"].pop()


def not_in_one_part(rng: random.Random, wanted: Args) -> None:
    """A class that one of two parts counts."""
    for block in wanted["blocks"]:
        rng.choice(block["parts"])["above"].pop(rng.randrange(len(wanted["classes"])))


def not_in_any_part(rng: random.Random, wanted: Args) -> None:
    number = rng.randrange(len(wanted["classes"]))
    for block in wanted["blocks"]:
        for part in block["parts"]:
            part["above"].pop(number)


def one_pool(rng: random.Random, wanted: Args) -> None:
    """All positions before the query."""
    wanted["pools"] = [sum(wanted["pools"])]
    for block in wanted["blocks"]:
        for part in block["parts"]:
            for row in (*part["above"], *part["below"]):
                row[2:] = [0, 0]


def not_in_a_part_of_one_pool(rng: random.Random, wanted: Args) -> None:
    one_pool(rng, wanted)
    not_in_any_part(rng, wanted)


def several_below(rng: random.Random, wanted: Args) -> None:
    """From below, several wrong tokens of one part."""
    for block in wanted["blocks"]:
        block["parts"][-1]["below"] = [[y, 1, *[0 for _ in wanted["pools"]], 0] for y in range(3) if y != wanted["m"]]


# Readings of gains.


def bent_gains(
    tables: Numerators,
    m: int,
    wrong: tuple[int, ...],
    queries: list[int],
    pools: list[list[int]],
    *,
    of_direct: bool = True,
    of_places: bool = True,
    of_maximum: bool = True,
    less_of: Callable[[Iterable[int]], int] = max,
    other_at: Callable[[int, list[int]], list[int]] = lambda i, factors: factors,
) -> Gains:
    """gain_bounds, some of whose terms the factors leave as they are."""
    (EUPU, EVOU, PVOU), (EUPU_lower, EVOU_lower, PVOU_lower) = tables.upper, tables.lower
    ys, factors = list(members(wrong[0])), list(wrong[1:]) or [1 for _ in members(wrong[0])]
    direct = {q: [EUPU[q][y] - EUPU_lower[q][m] + tables.margin for y in ys] for q in queries}
    centre = [max(column) for column in zip(*direct.values(), strict=True)]
    less = {
        q: less_of([c * (x - top) for c, x, top in zip(factors, row, centre, strict=True)]) for q, row in direct.items()
    }
    of_token = []
    for i, pool in enumerate(pools):
        places = [max(PVOU[p][y] - PVOU_lower[p][m] for p in pool) for y in ys]
        row = []
        for t in queries if i == len(pools) - 1 else range(m + 1):
            own = EVOU_lower[t][m]
            found = [
                (c if of_direct else 1) * top
                + (c if of_places else 1) * place
                + c * EVOU[t][y]
                - (c if of_maximum else 1) * own
                for c, top, place, y in zip(other_at(i, factors), centre, places, ys, strict=True)
            ]
            row.append(max(found))
        of_token.append(row)
    return Gains(of_token, less)


def lower_ends(factors: list[int], weights: Ends) -> list[int]:
    """The lower end of a weight even where the gain is positive."""
    return [x * low for x, low in zip(factors, weights[0], strict=True)]


def swapped_ends(factors: list[int], weights: Ends) -> list[int]:
    return largest_products(factors, weights[::-1])


def least_from_above(
    tables: Numerators, m: int, y: int, weights: Weights, q: int, pools: list[list[int]]
) -> list[list[int]]:
    """The tables from above, whose roundings go the other way."""
    return gain_bounds(tables, m, (1 << y,), [q], pools).worst(weights, [q])


def least_of_any_token(
    tables: Numerators, m: int, y: int, weights: Weights, q: int, pools: list[list[int]]
) -> list[list[int]]:
    """At each position the wrong token that gains most for sure."""
    tables_of = [least_gains(tables, m, z, weights, q, pools) for z in range(len(tables.upper[0])) if z != m]
    return [[max(column) for column in zip(*rows, strict=True)] for rows in zip(*tables_of, strict=True)]


def least_of_all_queries(rows: list[list[int]], queries: list[int], m: int) -> Tables:
    """What the first query of a block gains, for all of them."""
    *others, last = rows
    return by_token([*others, last if len(last) == len(queries) else last * len(queries)], queries, m)


def least_at_the_best_place(
    tables: Numerators, m: int, y: int, weights: Weights, q: int, pools: list[list[int]]
) -> list[list[int]]:
    """At the position of a pool that gives most."""
    each = least_gains(
        tables,
        m,
        y,
        {q: [weights[q][i] for i, pool in enumerate(pools) for _ in pool]},
        q,
        [[p] for pool in pools for p in pool],
    )
    found, at = [], 0
    for pool in pools:
        found.append([max(column) for column in zip(*each[at : at + len(pool)], strict=True)])
        at += len(pool)
    return found


def margin_rounded_up(
    tables: Numerators, m: int, y: int, weights: Weights, q: int, pools: list[list[int]]
) -> list[list[int]]:
    """In what is gained from below."""
    with patch.object(tables, "margin", tables.margin + 1):
        return least_gains(tables, m, y, weights, q, pools)


# Readings of parts.


def nothing_needed(tables: Tables, uses: list[int], cut: Any, upper: bool, needed: list[int], budget: Any) -> int:
    """Sequences of smaller tokens, too."""
    return count_reaching(tables, uses, cut, upper, needed[1:], budget)


def token_not_needed(tables: Tables, uses: list[int], cut: Any, upper: bool, needed: list[int], budget: Any) -> int:
    """Sequences without the token of a part, which are in later parts."""
    return count_reaching(tables, uses, cut, upper, needed[:1], budget)


def nothing_excluded(tables: Tables, excluded: set[int]) -> Tables:
    """Sequences of earlier parts, too."""
    return tables


def excluded_everywhere(tables: Tables, excluded: set[int]) -> Tables:
    """At the position of the query, too."""
    return [
        {t: x for t, x in row.items() if t not in excluded and (i < len(tables) - 1 or ~t not in excluded)}
        for i, row in enumerate(tables)
    ]


def of_no_query(tables: Tables, *rest: Any) -> int:
    """Where every query of a block is excluded, nothing is counted."""
    return count_reaching(tables, *rest) if all(tables) else 0


def named_by_the_query(rows: list[list[int]], queries: list[int], m: int) -> Tables:
    """A query is taken for an occurrence of its token."""
    *others, last = rows
    return [*[dict(enumerate(row)) for row in others], dict(zip(queries, last, strict=True))]


def excluded_before_the_query(tables: Tables, excluded: set[int]) -> Tables:
    return [{t: x for t, x in row.items() if t not in excluded} for row in tables[:-1]] + tables[-1:]


def largest_of_others(tables: Tables, uses: list[int], needed: list[int]) -> int:
    """Of sequences in which m does not occur."""
    if not all(row.keys() - {needed[0]} for row in tables):
        return largest_sum(tables, uses, needed)
    rows = [{t: x for t, x in row.items() if t != needed[0]} for row in tables]
    return sum(max(row.values()) * count for row, count in zip(rows, uses, strict=True))


def largest_used_once(tables: Tables, uses: list[int], needed: list[int]) -> int:
    """As if a pool were one position."""
    return largest_sum(tables, [1 for _ in uses], needed)


def largest_at_the_worst_place(tables: Tables, uses: list[int], needed: list[int]) -> int:
    """As if each needed token stood where it takes off most."""
    peaks = [max(row.values()) for row in tables]
    less = [[row[t] - peak for row, peak in zip(tables, peaks, strict=True) if t in row] for t in needed]
    return sum(map(mul, peaks, uses)) + sum(min(row, default=0) for row in less)


def never_reached(tables: Tables, uses: list[int], needed: list[int]) -> int:
    """As if nothing had to be counted."""
    return -1


# The table.


@contextlib.contextmanager
def all_of(*patches: tuple[Any, str, Any]) -> Iterator[None]:
    """Several names replaced."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in patches:
            stack.enter_context(patch.object(owner, name, value, create=True))
        yield


class Reading(NamedTuple):
    """Names that are replaced, what is asked of the bent checker, and whether the right one refuses it."""

    patches: list[tuple[Any, str, Any]]
    made: Made
    refused: bool = False

    def bent(self) -> contextlib.AbstractContextManager[None]:
        return all_of(*self.patches)


def of_gains(**left: Any) -> list[tuple[Any, str, Any]]:
    return [(rule, "gain_bounds", partial(bent_gains, **left))]


VALID: tuple[Any, str, Any] = (Group, "require_valid_block", lambda *_: None)
COUNT, LEAST = "count_reaching", "least_gains"

READINGS: dict[str, Reading] = {
    "lower ends of weights": Reading(
        [(gains_module, "largest_products", lower_ends)], partial(any_case, precision=COARSE)
    ),
    "swapped ends of weights": Reading(
        [(gains_module, "largest_products", swapped_ends)], partial(any_case, precision=COARSE)
    ),
    "what a query gives less of one wrong token": Reading(of_gains(less_of=min), partial(whole_case, apart=False)),
    "factor not of the direct part": Reading(of_gains(of_direct=False), gauged),
    "factor not of places": Reading(of_gains(of_places=False), gauged),
    "factor not of what m has": Reading(of_gains(of_maximum=False), gauged),
    "factors that depend on the position": Reading(
        of_gains(other_at=lambda i, factors: factors[::-1] if i % 2 else factors), gauged
    ),
    "from below, tables from above": Reading([(rule, LEAST, least_from_above)], partial(from_below, precision=COARSE)),
    "from below, any wrong token": Reading([(rule, LEAST, least_of_any_token)], from_below),
    "from below, the best place of a pool": Reading(
        [(rule, LEAST, least_at_the_best_place)],
        partial(from_below, edit=one_pool),
    ),
    "from below, margin rounded up": Reading(
        [(rule, LEAST, margin_rounded_up)], partial(from_below, precision={"exponent": 0, "bits": 40})
    ),
    "from below, several wrong tokens": Reading([VALID], partial(whole_case, edit=several_below), True),
    "from below, several queries": Reading(
        [VALID, (rule, "by_token", least_of_all_queries)], partial(from_below, apart=False), True
    ),
    "m not needed": Reading([(rule, COUNT, nothing_needed)], from_below),
    "token of a part not needed": Reading([(rule, COUNT, token_not_needed)], parts_from_below),
    "tokens of earlier parts not excluded": Reading([(rule, "without", nothing_excluded)], parts_from_below),
    "tokens of earlier parts excluded as queries": Reading(
        [(rule, "without", excluded_everywhere), (rule, COUNT, of_no_query)], parts_of_blocks
    ),
    "a query is an occurrence": Reading(
        [(rule, "by_token", named_by_the_query), (rule, "without", excluded_before_the_query)], parts_from_below
    ),
    "behind without m": Reading(
        [(rule, "largest_sum", largest_of_others)], partial(whole_case, one=True, classes="apart", edit=not_in_any_part)
    ),
    "behind, pools used once": Reading(
        [(rule, "largest_sum", largest_used_once)],
        partial(whole_case, edit=not_in_a_part_of_one_pool),
    ),
    "a class left out of one part": Reading(
        [(rule, "largest_sum", never_reached)], partial(whole_case, parts=True, edit=not_in_one_part)
    ),
    "behind where a token takes off most": Reading(
        [(rule, "largest_sum", largest_at_the_worst_place)], partial(whole_case, parts=True, edit=not_in_one_part)
    ),
    "no last part": Reading([VALID], partial(whole_case, parts=True, edit=only_first_parts), True),
}
