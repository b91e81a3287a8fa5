"""Readings of the three rules about regions that are wrong: checkers bent on purpose, each in a context.

    with READINGS["one denominator for all heads"]():
        steps = prove(problem_of(case), groups, ...)     # a bent checker accepts what is false

Of each, the seed of a case (region_case) on which it accepts a count that is too large.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

import checker.lemmas.ahead as ahead_module
import checker.lemmas.lines as lines
import checker.lemmas.paths as paths
import checker.lemmas.reaching as reaching_module
from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball, rounded
from checker.arithmetic.enclosures import Enclosure, shift_up
from checker.arithmetic.matrices import Matrix, add, matmul
from checker.arithmetic.packing import members
from checker.errors import Rejected
from checker.facts import Count, Regions
from checker.lemmas.ahead import Ahead
from checker.lemmas.paths import Lanes, Table, longest, weight_of, weighted, weights_of
from checker.lemmas.paths import Weights as Weighing
from checker.model.forward import Position
from checker.model.one_layer import OneLayer, features
from checker.model.weights import Weights
from checker.problem import Problem
from checker.problem.regions import Group, Layer, Region, regions_of
from checker.rules import RULES
from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros
from tests.support.any_problem import Json
from tests.support.region_cases import region_case

# in the package the rules hide the modules of their names
regions, region_gaps, region_counts = (
    import_module(f"checker.rules.{name}") for name in ("regions", "region_gaps", "region_counts")
)
Reading = Callable[[], contextlib.AbstractContextManager[object]]


# Readings of the layer.


@contextlib.contextmanager
def layer(change: Callable[[OneLayer, Weights], None]) -> Iterator[None]:
    """Every layer, changed once it is made."""
    made = OneLayer.__init__

    def init(self: OneLayer, weights: Weights, *args: Any) -> None:
        made(self, weights, *args)
        change(self, weights)

    with patch.object(OneLayer, "__init__", init):
        yield


@contextlib.contextmanager
def model(change: Callable[[Weights], Weights]) -> Iterator[None]:
    """A layer of another model."""
    made = OneLayer.__init__

    def init(self: OneLayer, weights: Weights, *args: Any) -> None:
        made(self, change(weights), *args)

    with patch.object(OneLayer, "__init__", init):
        yield


def with_tensor(weights: Weights, ending: str, factor: int) -> Weights:
    """One tensor times a number."""
    tensors = dict(weights.tensors)
    for name, matrix in tensors.items():
        if name.endswith(ending):
            tensors[name] = Matrix([[x * factor for x in row] for row in matrix.rows], matrix.exponent)
    return weights._replace(tensors=tensors)


def without(ending: str) -> Reading:
    return lambda: model(lambda weights: with_tensor(weights, ending, 0))


def b_O_per_head() -> contextlib.AbstractContextManager[None]:
    return model(lambda weights: with_tensor(weights, "b_O", weights.architecture.heads))


def b_V_twice() -> contextlib.AbstractContextManager[None]:
    """In the tables and in the constant."""

    def change(self: OneLayer, weights: Weights) -> None:
        t = {name.removeprefix("blocks.0."): matrix for name, matrix in weights.tensors.items()}
        flat = Matrix([[x for row in t["attn.b_V"].rows for x in row]], t["attn.b_V"].exponent)
        written = matmul(flat, t["attn.W_O"])
        own, bits = self.direct, self.bits

        def direct(q: int) -> Ball:
            ball, more = own(q), []
            for W in [t["unembed.W_U"], *([t["mlp.W_in"]] if self.neurons else [])]:
                (row,) = matmul(written, W).rows
                more += [shift_up(x, -bits - written.exponent - W.exponent) for x in row]
            return Ball([x + y for x, y in zip(ball.centre, more, strict=True)], ball.radius + 1)

        self.direct = cache(direct)

    return layer(change)


def no_mask() -> contextlib.AbstractContextManager[None]:
    """All positions are attended to."""
    return model(lambda weights: weights._replace(architecture=weights.architecture._replace(mask="full")))


def not_itself() -> contextlib.AbstractContextManager[None]:
    """The position read does not attend to itself."""

    def change(self: OneLayer, weights: Weights) -> None:
        self.weights = cache(
            lambda q: [[row if p != self.readout else {} for p, row in enumerate(h)] for h in self.attention(q)]
        )

    return layer(change)


def normalised_direct_path() -> contextlib.AbstractContextManager[None]:
    def change(self: OneLayer, weights: Weights) -> None:
        self.direct = cache(lambda q: features(self.forward.first(self.readout, q).normed, self.after))

    return layer(change)


def norms_apart() -> contextlib.AbstractContextManager[object]:
    """LN(W_E) + LN(W_pos)."""
    normed = Position.__dict__["normed"].func

    def apart(self: Position) -> Ball:
        embed = getattr(self.residual, "args", None)
        forward = getattr(getattr(self.residual, "func", None), "__wrapped__", None)
        if embed is None or forward is None:
            return normed(self)
        (p, t), norm = embed, self.block.norms["pre", "ln1"]
        owner = forward.__self__
        halves = []
        for name, row in (("embed.W_E", t), ("pos_embed.W_pos", p)):
            matrix = owner.weights.tensors[name]
            nothing = Matrix([[0] * len(matrix.rows[0])], 0)
            both = add(Matrix([matrix.rows[row]], matrix.exponent), nothing)
            halves.append(norm(Ball(rounded(both, owner.bits)[0], 1)))
        return halves[0].plus(halves[1])

    return patch.object(Position, "normed", property(apart))


class Unnoticed(tuple[str, ...]):
    """Places of LayerNorm that look as if there were none."""

    def __bool__(self) -> bool:
        return False


def norm_before_neurons_ignored() -> contextlib.AbstractContextManager[None]:
    def change(weights: Weights) -> Weights:
        return weights._replace(architecture=weights.architecture._replace(norms=Unnoticed(weights.architecture.norms)))

    return model(change)


# Readings of ranges and lines.


@contextlib.contextmanager
def rule(name: str, bend: Callable[[Callable[..., Any], Problem, Any, Any], Any]) -> Iterator[None]:
    """A rule that concludes bend(rule, problem, premises, args)."""
    own = RULES[name]
    with patch.dict(RULES, {name: replace(own, derive=partial(bend, own.derive))}):
        yield


@contextlib.contextmanager
def ranges(bend: Callable[[Problem, Callable[[int], Ball], int], Any]) -> Iterator[None]:
    """The rule regions with another `direct`."""

    def derive(own: Callable[..., Any], problem: Problem, premises: Any, args: Any) -> Any:
        of_layer = problem.one_layer(args["bits"])
        with patch.object(of_layer, "direct", partial(bend, problem, of_layer.direct)):
            return own(problem, premises, args)

    with rule("regions", derive):
        yield


def another(problem: Problem, q: int) -> int:
    """Another query, if there is one."""
    tokens = list(problem.choices[problem.readout or 0])
    return tokens[(tokens.index(q) + 1) % len(tokens)]


def ranges_without_direct() -> contextlib.AbstractContextManager[None]:
    return ranges(lambda problem, direct, q: Ball([0 for _ in direct(q).centre], direct(q).radius))


def ranges_of_another_query() -> contextlib.AbstractContextManager[None]:
    return ranges(lambda problem, direct, q: direct(another(problem, q)))


def ranges_of_one_head() -> contextlib.AbstractContextManager[None]:
    def derive(own: Callable[..., Any], problem: Problem, premises: Any, args: Any) -> Any:
        fact, heads = own(problem, premises, args), problem.one_layer(args["bits"]).heads
        rows = []
        for ends, hints in zip(fact.ranges, args["hints"], strict=True):
            row = list(ends)
            for j, hint in enumerate(hints):
                row[2 * j] -= sum(hint[1:heads])
                row[2 * j + 1] -= sum(hint[heads + 1 :])
            rows.append(tuple(row))
        return Regions(fact.bits, fact.groups, tuple(rows))

    return rule("regions", derive)


def no_intercepts() -> contextlib.AbstractContextManager[object]:
    return patch.object(ahead_module, "intercept", lambda *args, **kwargs: 0)


def line(points: int, doubt: bool, names: tuple[str, ...]) -> Reading:
    """Lines looked at in so many pieces; the activations of these names alone."""
    own = lines.intercept

    def intercept(act: Activation, low: int, high: int, slope: int, above: bool) -> int:
        if act.name not in names:
            return own(act, low, high, slope, above)
        at = [low + (high - low) * i // points for i in range(points + 1)]
        width = (high - low) // points + 1
        off = shift_up(width * width, act.bits + 3) + 1 if doubt else 1
        centre, radius, _ = act(Ball(at, 0))
        rest = [f - ((slope * z) >> act.bits) for f, z in zip(centre, at, strict=True)]
        return max(rest) + radius + off if above else min(rest) - radius - off

    return lambda: patch.object(ahead_module, "intercept", intercept)


def any_line_below() -> contextlib.AbstractContextManager[object]:
    """relu(z) >= a z, for any a."""
    own = lines.intercept

    def intercept(act: Activation, low: int, high: int, slope: int, above: bool) -> int:
        return own(act, low, high, slope, above) if above or act.name != "relu" else 0

    return patch.object(ahead_module, "intercept", intercept)


# Readings of constants and tables.


@contextlib.contextmanager
def bent(**methods: Callable[..., Any]) -> Iterator[None]:
    """Ahead with other methods; they get the own one first."""
    with contextlib.ExitStack() as stack:
        for name, method in methods.items():
            own = Ahead.__dict__[name]

            def bound(self: Ahead, *args: Any, _own: Any = own, _method: Any = method) -> Any:
                return _method(_own, self, *args)

            stack.enter_context(patch.object(Ahead, name, bound))
        yield


def first_of(rivals: int) -> int:
    return rivals & -rivals


def last_of(rivals: int) -> int:
    return 1 << (rivals.bit_length() - 1)


def constant_of(choose: Callable[[int], int]) -> Reading:
    return lambda: bent(constant=lambda own, self, region, rivals, *args: own(self, region, choose(rivals), *args))


def table_of(choose: Callable[[int], int]) -> Reading:
    return lambda: bent(of_attention=lambda own, self, c, rivals, slopes: own(self, c, choose(rivals), slopes))


def constant_per_head() -> contextlib.AbstractContextManager[None]:
    return bent(constant=lambda own, self, *args: self.layer.heads * own(self, *args))


def constant_of_another_query() -> contextlib.AbstractContextManager[None]:
    """The direct path of the next query."""

    def constant(own: Any, self: Ahead, region: Region, *args: Any) -> int:
        queries = sorted(self.layer.values[0][self.layer.readout])
        other = queries[(queries.index(region.query) + 1) % len(queries)]
        return own(self, region._replace(query=other), *args)

    return bent(constant=constant)


def no_slopes_in_constant() -> contextlib.AbstractContextManager[None]:
    """slope d_j dropped."""

    def constant(own: Any, self: Ahead, *args: Any) -> int:
        difference = self.difference
        with patch.object(self, "difference", lambda x, y, c, slopes: difference(x, y, c, [0 for _ in slopes])):
            return own(self, *args)

    return bent(constant=constant)


def no_slopes_in_tables() -> contextlib.AbstractContextManager[None]:
    return bent(of_attention=lambda own, self, c, rivals, slopes: own(self, c, rivals, [0 for _ in slopes]))


def sign_of_y() -> contextlib.AbstractContextManager[None]:
    """Lines above where the neuron favours y, whatever it does for the label."""

    def constant(own: Any, self: Ahead, region: Region, rivals: int, slopes: Any, ends: Any) -> int:
        c, found = region.group.label, []
        for y in members(rivals):
            value = own(self, region, 1 << y, slopes, ends)
            triples = zip(self.layer.out.rows, self.favours(y, c), ends[::2], ends[1::2], slopes, strict=True)
            for row, favour, low, high, slope in triples:
                for above, sign in ((favour >= 0, -1), (row[y] >= 0, 1)):
                    end = lines.intercept(self.layer.act, low, high, slope, above)
                    value += sign * shift_up(favour * end, -self.layer.out.exponent)
            found.append(value)
        return max(found)

    return bent(constant=constant)


def no_margin() -> contextlib.AbstractContextManager[object]:
    return patch.object(Problem, "margin_upper", lambda self, exponent: 0)


def no_b_U() -> contextlib.AbstractContextManager[None]:
    def change(self: OneLayer, weights: Weights) -> None:
        self.bias = Matrix([[0 for _ in self.bias.rows[0]]], 0)

    return layer(change)


# Readings of means over regions.


def one_by_one(lanes: Lanes) -> list[Lanes]:
    """Each table in lanes of its own."""
    tables, most, width, _ = lanes
    return [((table,), most, width, lambda p, t, table=table: table[p][t]) for table in tables]  # type: ignore[misc]


def one_path() -> contextlib.AbstractContextManager[object]:
    """One longest path for all heads: the last bound is enough if all together are. (The others are right.)"""
    own = paths.require_means
    known: list[tuple[Region, Table, Table]] = []  # of the heads before

    def require_mean(region: Region, lanes: Lanes, weights: Weighing, most: int) -> None:
        (gains,) = lanes[0]
        others = [entry for entry in known if entry[0] is region and entry[1] is not gains]
        table = weighted(region, gains, weights, most)
        if len(others) < HEADS[0].layer.heads - 1:
            own(region, lanes, weights, [most])
            known[:] = [*others, (region, gains, table)]
            return
        both = [
            {t: x + sum(other[p][t] for *_, other in others) for t, x in row.items()} for p, row in enumerate(table)
        ]
        if longest(region, both) > 0:
            raise Rejected("mean-above-bound")

    def require_means(region: Region, lanes: Lanes, weights: Weighing, bounds: list[int]) -> None:
        for lane, most in zip(one_by_one(lanes), bounds, strict=True):
            require_mean(region, lane, weights, most)

    return stacked(remembered(), patch.object(region_gaps, "require_means", require_means))


HEADS: list[Ahead] = []


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """HEADS[0] is the last Ahead that a rule has made."""
    own = Ahead.__init__

    def init(self: Ahead, *args: Any) -> None:
        own(self, *args)
        HEADS[:] = [self]

    with patch.object(Ahead, "__init__", init):
        yield
    HEADS.clear()


@contextlib.contextmanager
def stacked(*contexts: contextlib.AbstractContextManager[object]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def one_end(end: int) -> Reading:
    """Weights without their enclosures."""

    def pairs(enclosures: list[Enclosure]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        same = tuple(enclosure[end] for enclosure in enclosures)
        return same, same

    return lambda: patch.object(paths, "pairs", pairs)


# Readings of several heads in a count.

Bounds = list[tuple[int, int]]  # of each head: its denominator at least, at most


def bounds(region: Region, weights: list[Weighing]) -> Bounds:
    found = []
    for weight in weights:
        one = [dict.fromkeys([t for ts in at.tokens.values() for t in ts], 1) for at in region.layers]
        most = longest(region, weighted(region, one, weight, 0))
        found.append((max(-longest(region, weighted(region, one, weight, 2)), 1), most))
    return found


def share(z: int, least: int, most: int) -> int:
    """What a term is at most, of its own denominator."""
    return -(-z // (least if z >= 0 else most))


def joined(
    of: Callable[[Region, list[Weighing]], Bounds] = bounds,
    divide: Callable[[int, int, int], int] = share,
    everywhere: bool = False,
) -> contextlib.AbstractContextManager[object]:
    """The table of several heads, with other bounds on their denominators, or another division."""
    own = reaching_module.joint

    def joint(region: Region, constant: int, gains: list[Table], weights: list[Weighing], means: Any) -> Table:
        if len(gains) == 1 and not everywhere:
            return own(region, constant, gains, weights, means)
        total: Table = [{} for _ in region.layers]
        for gain, weight, mean, (least, most) in zip(gains, weights, means, of(region, weights), strict=True):
            for row, terms in zip(total, weighted(region, gain, weight, mean), strict=True):
                for t, z in terms.items():
                    row[t] = row.get(t, 0) + divide(z, least, most)
        for row in total if everywhere else total[:1]:
            for t in row:
                row[t] += constant + sum(means)
        return total

    return patch.object(region_counts, "joint", joint)


def share_of_sum() -> contextlib.AbstractContextManager[object]:
    """Terms of all heads added, then divided by the least or largest denominator of any head."""
    own = reaching_module.joint

    def joint(region: Region, constant: int, gains: list[Table], weights: list[Weighing], means: Any) -> Table:
        if len(gains) == 1:
            return own(region, constant, gains, weights, means)
        ends = bounds(region, weights)
        least, most = min(low for low, _ in ends), max(high for _, high in ends)
        terms = [weighted(region, *each) for each in zip(gains, weights, means, strict=True)]
        total = [
            {t: share(sum(table[p][t] for table in terms), least, most) for t in row} for p, row in enumerate(terms[0])
        ]
        for t in total[0]:
            total[0][t] += constant + sum(means)
        return total

    return patch.object(region_counts, "joint", joint)


def denominators_of_another_query() -> contextlib.AbstractContextManager[None]:
    def of(region: Region, weights: list[Weighing]) -> Bounds:
        of_layer = HEADS[0].layer
        queries = sorted(of_layer.values[0][of_layer.readout])
        other = queries[(queries.index(region.query) + 1) % len(queries)]
        layers = [
            Layer({symbol: [other] for symbol in at.tokens}, at.ways) if p == of_layer.readout else at
            for p, at in enumerate(region.layers)
        ]
        seen = region._replace(query=other, layers=layers)
        return bounds(seen, weights_of(of_layer, seen))

    return stacked(remembered(), joined(of))


def denominators_of_another_region() -> contextlib.AbstractContextManager[object]:
    """Those of the first region with this query."""
    known: dict[int, Bounds] = {}

    def of(region: Region, weights: list[Weighing]) -> Bounds:
        return known.setdefault(region.query, bounds(region, weights))

    return joined(of)


def denominators_without_the_readout() -> contextlib.AbstractContextManager[None]:
    def of(region: Region, weights: list[Weighing]) -> Bounds:
        at = HEADS[0].layer.readout
        return bounds(region, [[row if p != at else {} for p, row in enumerate(head)] for head in weights])

    return stacked(remembered(), joined(of))


# Readings of counts.


@contextlib.contextmanager
def counted(change: Callable[[Problem, Region, Table, int, int], int]) -> Iterator[None]:
    with patch.object(region_counts, "reaching", change):
        yield


def count(region: Region, factors: list[dict[int, int]], mask: int = -1) -> int:
    """The sum over paths of the products of factors[p][symbol], masked after each position."""
    found = {0: 1}
    for (_, ways), row in zip(region.layers, factors, strict=True):
        found = {state: sum([found[s] * row[symbol] for s, symbol in into]) & mask for state, into in ways.items()}
    return sum(found.values())


def reached(
    problem: Problem,
    region: Region,
    table: Table,
    weight: int,
    steps: int,
    up: int = 0,
    cut: int = 0,
    by_choices: bool = False,
    plain: bool = False,
) -> int:
    """The count, with losses rounded up, steps cut, lanes for each input instead of its weight, or no weights."""
    if longest(region, table) < 0:
        return 0
    inputs = count(region, [{s: len(ts) for s, ts in at.tokens.items()} for at in region.layers])
    peaks, most = [max(row.values()) for row in table], steps - cut
    allowance, width = sum(peaks), (inputs if by_choices else weight).bit_length() + 1
    factors = []
    for (tokens, _), row, peak, weights in zip(region.layers, table, peaks, problem.choices, strict=True):
        losses = {t: ((peak - x) * (steps + 1) + up * allowance) // (allowance + 1) for t, x in row.items()}
        terms = {
            s: [(losses[t], 1 if plain else weights[t]) for t in ts if losses[t] <= most] for s, ts in tokens.items()
        }
        factors.append(
            {s: sum(weight << width * power for power, weight in of_symbol) for s, of_symbol in terms.items()}
        )
    return count(region, factors, (1 << (width * (most + 1))) - 1) % ((1 << width) - 1)


def pairs_of(change: Callable[[Problem, tuple[Group, ...], dict[tuple[int, int], int]], Any]) -> Reading:
    """Other groups, or other weights that they leave, when it comes to labels and queries."""
    own = region_counts.correct_of_pairs

    def correct_of_pairs(problem: Problem, groups: tuple[Group, ...], left: Any) -> Iterator[Count]:
        return own(problem, *change(problem, groups, left))

    return lambda: patch.object(region_counts, "correct_of_pairs", correct_of_pairs)


def all_watched(problem: Problem, groups: tuple[Group, ...], left: Any) -> Any:
    return [group._replace(rivals=((1 << problem.outputs) - 1,)) for group in groups], left


def all_held(problem: Problem, groups: tuple[Group, ...], left: dict[tuple[int, int], int]) -> Any:
    """As if every input with the label and query were in a part, and none lost but those that are."""
    everything = Group(0, 0, (), (0,) * problem.v, ((0,),), (0,))
    more = {
        (number, query): paths.labels_of(problem, everything._replace(queries=1 << query))[0].get(group.label, 0)
        for number, group in enumerate(groups)
        for query in members(group.queries)
    }
    for region in regions_of(problem, groups):
        more[region.number, region.query] -= weight_of(problem, region)
    return groups, {key: left.get(key, 0) + weight for key, weight in more.items()}


def largest_class() -> contextlib.AbstractContextManager[None]:
    """Of several classes that can reach the label, the one that does most often."""
    known: list[Any] = [None, 0]
    own = reaching_module.reaching

    def reaching(problem: Problem, region: Region, table: Table, weight: int, steps: int) -> int:
        found = own(problem, region, table, weight, steps)
        before = known[1] if known[0] is region else 0
        known[:] = [region, max(before, found)]
        return max(found - before, 0)

    return counted(reaching)


def labels_not_checked() -> contextlib.AbstractContextManager[object]:
    return patch.object(regions, "require_valid", lambda problem, group: None)


READINGS: dict[str, Reading] = {
    # means
    "one longest path for all heads": one_path,
    "weights at their lower ends": one_end(0),
    "weights at their upper ends": one_end(1),
    # several heads in a count
    "terms of all heads added, then divided": share_of_sum,
    "one head's denominator for all": lambda: joined(lambda r, w: bounds(r, w)[:1] * len(w)),
    "the sum of denominators": lambda: joined(
        lambda r, w: [(sum(x for x, _ in bounds(r, w)), sum(x for _, x in bounds(r, w)))] * len(w)
    ),
    "the least denominator for both signs": lambda: joined(divide=lambda z, least, most: -(-z // least)),
    "the largest denominator for both signs": lambda: joined(divide=lambda z, least, most: -(-z // most)),
    "denominators swapped": lambda: joined(divide=lambda z, least, most: share(z, most, least)),
    "denominators of another query": denominators_of_another_query,
    "denominators of another region": denominators_of_another_region,
    "denominators without the readout": denominators_without_the_readout,
    "the constant at each position": lambda: joined(everywhere=True),
    # the layer
    "the position read not attended to": not_itself,
    "all positions under a causal mask": no_mask,
    "b_V in tables and constant": b_V_twice,
    "b_V in neither": without("b_V"),
    "b_O for each head": b_O_per_head,
    **{f"no {name}": without(name) for name in ("b_Q", "b_O", "b_in", "b_out")},
    "the direct path normalised": normalised_direct_path,
    "W_E and W_pos normalised apart": norms_apart,
    "LayerNorm before the MLP ignored": norm_before_neurons_ignored,
    # ranges and lines
    "ranges without the direct path": ranges_without_direct,
    "ranges of another query": ranges_of_another_query,
    "ranges of one head": ranges_of_one_head,
    "no intercepts": no_intercepts,
    "no slopes in the constant": no_slopes_in_constant,
    "no slopes in the tables": no_slopes_in_tables,
    "the sign of y alone": sign_of_y,
    "any line below ReLU": any_line_below,
    "ReLU without its kink": line(1, False, ("relu",)),
    "GELU and SiLU at the ends": line(1, False, ("silu", "gelu_tanh", "gelu_erf")),
    "three chords without doubt": line(3, False, ("silu", "gelu_tanh", "gelu_erf")),
    # constants
    "no margin": no_margin,
    "no b_U": no_b_U,
    "the constant for each head": constant_per_head,
    "the constant of another query": constant_of_another_query,
    "the constant of the first of a class": constant_of(first_of),
    "the constant of the last of a class": constant_of(last_of),
    "the table of the first of a class": table_of(first_of),
    # counts
    "weights of inputs ignored": lambda: counted(partial(reached, plain=True)),
    "lanes for each input, not for its weight": lambda: counted(partial(reached, by_choices=True)),
    "losses rounded up": lambda: counted(partial(reached, up=1)),
    "one step too few": lambda: counted(partial(reached, cut=1)),
    "outputs that nothing watches": pairs_of(all_watched),
    "inputs outside all parts": pairs_of(all_held),
    "the largest class instead of all": largest_class,
    "labels not checked": labels_not_checked,
}


# Of each reading, a case on which it accepts a count that is too large.


class Trap(NamedTuple):
    """A case, and how it is proved."""

    case: Case
    groups: list[Json]
    bits: int = 24
    shares: tuple[int, ...] = ()
    seed: int = 0


def found(seed: int, bits: int = 24, shares: tuple[int, ...] = (), **fixed: Any) -> Trap:
    """The first of random cases."""
    return Trap(*region_case(seed, **fixed), bits, shares, seed)


def two_heads(
    scores: list[list[float]], gains: list[list[float]], shares: tuple[int, ...] = (), tokens: tuple[int, ...] = (1, 2)
) -> Trap:
    """Token 2 looks at one token, and then says 1 if the means of the gains, by head, add up to more than 1/2.

    The right answer is 1 for token 0, else 0. The region holds the inputs with one of these tokens.
    """
    given = architecture(heads=2)
    sizes = {"d_vocab": 3, "d_model": 4, "n_ctx": 2, "n_heads": 2, "d_head": 1, "d_vocab_out": 2}
    tensors = zeros(
        given,
        sizes,
        W_E=np.eye(3, 4),
        b_Q=[1, 1],
        W_K=[[*row, 0] for row in scores],
        W_V=[[*row, 0] for row in gains],
        W_O=[[0, 0, 0, 1]] * 2,
        W_U=[[0, 0]] * 3 + [[0, 1]],
        b_U=[0.5, 0],
    )
    label = {"name": "automaton", "of": [0], "states": 2, "start": 0, "next": [[1, 0, 0], [1, 1, 1]], "output": [0, 1]}
    problem: Json = {"inputs": [{"tokens": [0, *tokens]}, {"tokens": [2]}], "label": label, "readout": 1}
    parts = {"symbols": [int(t in tokens) for t in range(3)], "next": [[1, 2], [3, 3], [4, 4], [-1, -1], [-1, -1]]}
    group = {"label": 0, "queries": 4, "rivals": [2], **parts, "parts": [-1, -1, -1, -1, 0]}
    return Trap(Case(tensors, given, problem), [group], 24, shares)


def bend(activation: str, b_in: float = 0) -> Trap:
    """One neuron, entered by about -3/2, 0 or 3/2: what it adds to the right answer, less half of that, is least at 0,
    and there not enough."""
    given = architecture(activation=activation)
    sizes = {"d_vocab": 3, "d_model": 4, "n_ctx": 2, "n_heads": 1, "d_head": 1, "d_mlp": 1, "d_vocab_out": 2}
    tensors = zeros(
        given,
        sizes,
        W_E=np.eye(3, 4),
        W_V=[-3 - b_in, -b_in, 3.25 - b_in, 0],
        W_O=[0, 0, 0, 1],
        W_in=[0, 0, 0, 1],
        W_out=[1, 0, 0, 0],
        W_U=[[1, 0], [0, 0], [0, 0], [0, 0.5]],
        b_in=[b_in],
        b_U=[0, 0.03 + b_in / 2],
    )
    label = {"name": "contains", "token": 3}
    problem: Json = {"inputs": [{"tokens": "0-2"}, {"tokens": [1]}], "label": label, "readout": 1}
    group = {"label": 0, "queries": 2, "rivals": [2], "symbols": [0, 0, 0], "next": [[0]], "parts": [0]}
    return Trap(Case(tensors, given, problem), [group])


def mislabelled() -> Trap:
    """The part holds token 0 as well, whose label is another one."""
    trap = two_heads([[0, 0, 0]] * 2, [[0, 0, 0]] * 2)
    return trap._replace(groups=[trap.groups[0] | {"parts": [-1, -1, -1, 0, 0]}])


NOTHING = [0.0, 0, 0]


def outside() -> Trap:
    """Token 1 is in no part."""
    trap = two_heads([NOTHING] * 2, [[0, 2, 0], NOTHING])
    return trap._replace(groups=[trap.groups[0] | {"symbols": [0, 0, 1]}])


def unwatched() -> Trap:
    """The one wrong output is in no class."""
    trap = two_heads([NOTHING] * 2, [[0, 2, 0], NOTHING])
    return trap._replace(groups=[trap.groups[0] | {"rivals": []}])


UNEVEN = [[0.0, -3, 0], NOTHING], [[0.0, 20, 0], NOTHING]  # the first head looks little at token 1


def apart() -> Trap:
    """Tokens 1 and 2 in regions of their own, with other denominators."""
    trap = two_heads(UNEVEN[0], [[0, 20, 0], [0, 0, 0.6]], (4, 0))
    rows = [[-1, 1, 2], [3, 3, 3], [4, 4, 4], [-1] * 3, [-1] * 3]
    parts = {"symbols": [0, 1, 2], "next": rows, "parts": [-1, -1, -1, 1, 0]}
    return trap._replace(groups=[trap.groups[0] | parts])


NORMED: Json = {"normalization": "LNPre", "norms": ["pre"], "eps": "1/100000"}

TRAPS: dict[str, Callable[[], Trap]] = {
    "one longest path for all heads": lambda: two_heads([NOTHING, [0, -3, 0]], [[0, -0.2, 0.2], [0, 12.6, 0]]),
    "weights at their lower ends": lambda: found(0, 8),
    "weights at their upper ends": lambda: found(164, 8),
    "terms of all heads added, then divided": lambda: two_heads(
        [[0, 0, -9], NOTHING], [[0, 1.3, 0], [0, -1, 0]], (1, 0)
    ),
    "one head's denominator for all": lambda: found(90, heads=2),
    "the sum of denominators": lambda: two_heads([[0, 0, 0]] * 2, [[0, 2, 0], [0, -0.2, 0]], (1, 1)),
    "the least denominator for both signs": lambda: found(12, heads=2),
    "the largest denominator for both signs": lambda: two_heads(*UNEVEN, (4, 0)),
    "denominators swapped": lambda: two_heads(*UNEVEN, (4, 0)),
    "denominators of another query": lambda: found(88),
    "denominators of another region": apart,
    "denominators without the readout": lambda: two_heads(
        [[0, 0, 0], [-9, -9, 0]], [[0, 2, 0], [0, 0, 0]], (2, -1), (1,)
    ),
    "the constant at each position": lambda: two_heads([[0, 0, 0]] * 2, [[0, 2, 0], [0, -0.2, 0]], (1, 1)),
    "the position read not attended to": lambda: found(1),
    "all positions under a causal mask": lambda: found(15, mask="causal", readout=0, coarse=True),
    "b_V in tables and constant": lambda: found(1),
    "b_V in neither": lambda: found(53),
    "b_O for each head": lambda: found(12),
    "no b_Q": lambda: two_heads([[0, 3, 0], [0, 0, 0]], [[0, 0.9, 0], [0, 0, 0]]),
    "no b_O": lambda: found(1),
    "no b_in": lambda: bend("relu", b_in=-3),
    "no b_out": lambda: found(38),
    "the direct path normalised": lambda: found(12),
    "W_E and W_pos normalised apart": lambda: found(12),
    "LayerNorm before the MLP ignored": lambda: found(6, activation="relu", coarse=True, **NORMED),
    "ranges without the direct path": lambda: found(31),
    "ranges of another query": lambda: found(31),
    "ranges of one head": lambda: found(16),
    "no intercepts": lambda: found(31),
    "no slopes in the constant": lambda: bend("relu", b_in=-3),
    "no slopes in the tables": lambda: found(38),
    "the sign of y alone": lambda: bend("relu"),
    "any line below ReLU": lambda: found(31),
    "ReLU without its kink": lambda: bend("relu"),
    "GELU and SiLU at the ends": lambda: bend("gelu_erf"),
    "three chords without doubt": lambda: bend("silu"),
    "no margin": lambda: found(1),
    "no b_U": lambda: found(1),
    "the constant for each head": lambda: found(12),
    "the constant of another query": lambda: found(1),
    "the constant of the first of a class": lambda: found(19),
    "the constant of the last of a class": lambda: found(27),
    "the table of the first of a class": lambda: found(13),
    "weights of inputs ignored": lambda: found(1),
    "lanes for each input, not for its weight": lambda: found(1),
    "losses rounded up": lambda: found(18),
    "one step too few": lambda: found(18),
    "outputs that nothing watches": unwatched,
    "inputs outside all parts": outside,
    "the largest class instead of all": lambda: found(64),
    "labels not checked": mislabelled,
}
