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
from typing import Any
from unittest.mock import patch

import checker.lemmas.ahead as ahead_module
import checker.lemmas.lines as lines
import checker.lemmas.paths as paths
import checker.lemmas.reaching as reaching_module
from checker.arithmetic.activations import Activation
from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import Enclosure, shift_up
from checker.arithmetic.matrices import Matrix, matmul
from checker.arithmetic.packing import members
from checker.errors import Rejected
from checker.facts import Count, Regions, Tally
from checker.lemmas.ahead import Ahead
from checker.lemmas.counting import polynomial
from checker.lemmas.paths import Table, count, longest, weighted
from checker.model.forward import Position
from checker.model.one_layer import OneLayer, features
from checker.model.weights import Weights
from checker.problem import Problem
from checker.problem.regions import Region
from checker.rules import RULES

# in the package the rules hide the modules of their names
regions, region_gaps, region_counts = (
    import_module(f"checker.rules.{name}") for name in ("regions", "region_gaps", "region_counts")
)
Reading = Callable[[], contextlib.AbstractContextManager[object]]
Weighing = list[dict[int, Enclosure]]


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

        self.direct = cache(direct)  # type: ignore[method-assign]

    return layer(change)


def no_mask() -> contextlib.AbstractContextManager[None]:
    """All positions are attended to."""
    return model(lambda weights: weights._replace(architecture=weights.architecture._replace(mask="full")))


def not_itself() -> contextlib.AbstractContextManager[None]:
    """The position read does not attend to itself."""

    def change(self: OneLayer, weights: Weights) -> None:
        self.weights = cache(  # type: ignore[method-assign]
            lambda q: [[row if p != self.readout else {} for p, row in enumerate(h)] for h in self.attention(q)]
        )

    return layer(change)


def normalised_direct_path() -> contextlib.AbstractContextManager[None]:
    def change(self: OneLayer, weights: Weights) -> None:
        self.direct = cache(lambda q: features(self.forward.first(self.readout, q).normed, self.after))  # type: ignore[method-assign]

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
            from checker.arithmetic.balls import rounded
            from checker.arithmetic.matrices import add

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
def ranges(bend: Callable[[Problem, OneLayer, int], Any]) -> Iterator[None]:
    """The rule regions with another `direct`."""

    def derive(own: Callable[..., Any], problem: Problem, premises: Any, args: Any) -> Any:
        of_layer = problem.one_layer(args["bits"])
        with patch.object(of_layer, "direct", lambda q, direct=of_layer.direct: bend(problem, direct, q)):
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
        centre, radius = act(Ball(at, 0))
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
        queries = sorted({t for t in self.layer.values[0][self.layer.readout]})
        other = queries[(queries.index(region.query) + 1) % len(queries)]
        return own(self, region._replace(query=other), *args)

    return bent(constant=constant)


def no_slopes_in_constant() -> contextlib.AbstractContextManager[None]:
    """slope d_j dropped."""

    def constant(own: Any, self: Ahead, *args: Any) -> int:
        difference = self.difference
        with patch.object(self, "difference", lambda x, y, c, slopes: difference(x, y, c, tuple(0 for _ in slopes))):
            return own(self, *args)

    return bent(constant=constant)


def no_slopes_in_tables() -> contextlib.AbstractContextManager[None]:
    return bent(of_attention=lambda own, self, c, rivals, slopes: own(self, c, rivals, tuple(0 for _ in slopes)))


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


def no_radius() -> contextlib.AbstractContextManager[None]:
    """Every table as if it were exact."""
    return bent(difference=lambda own, self, x, y, c, slopes: own(self, Ball(x.centre, 0), y, c, slopes))


# Readings of means over regions.


def one_path() -> contextlib.AbstractContextManager[object]:
    """One longest path for all heads: the last bound is enough if all together are. (The others are right.)"""
    own = paths.require_mean
    known: list[tuple[Region, Table, Table]] = []  # of the heads before

    def require_mean(region: Region, gains: Table, weights: Weighing, most: int) -> None:
        known[:] = [entry for entry in known if entry[0] is region and entry[1] is not gains]
        table = weighted(region, gains, weights, most)
        if len(known) < HEADS[0].layer.heads - 1:
            own(region, gains, weights, most)
            known.append((region, gains, table))
            return
        both = [{t: x + sum(other[p][t] for *_, other in known) for t, x in row.items()} for p, row in enumerate(table)]
        if longest(region, both) > 0:
            raise Rejected("mean-above-bound")

    return stacked(remembered(), patch.object(region_gaps, "require_mean", require_mean))


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


def one_end(low: bool) -> Reading:
    """Weights without their enclosures."""

    def product(factor: int, enclosure: Enclosure) -> int:
        return factor * (enclosure.low if low else enclosure.high)

    return lambda: patch.object(paths, "largest_product", product)


# Readings of several heads in a count.

Bounds = list[tuple[int, int]]  # of each head: its denominator at least, at most


def bounds(region: Region, weights: list[Weighing]) -> Bounds:
    found = []
    for weight in weights:
        one = [dict.fromkeys(row, 1) for row in weight]
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
        rows = [[dict(row) for row in head] for head in of_layer.weights(other)]
        for head in rows:
            (value,) = head[of_layer.readout].values()
            head[of_layer.readout] = {region.query: value}
        return bounds(region, rows)

    return stacked(remembered(), joined(of))


def denominators_of_another_region() -> contextlib.AbstractContextManager[object]:
    """Those of the first region with this query."""
    known: dict[Any, Bounds] = {}

    def of(region: Region, weights: list[Weighing]) -> Bounds:
        return known.setdefault((id(weights), region.query), bounds(region, weights))

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


def reached(
    problem: Problem,
    region: Region,
    table: Table,
    weight: int,
    steps: int,
    up: bool = False,
    cut: int = 0,
    by_choices: bool = False,
    plain: bool = False,
) -> int:
    """The count, with losses rounded up, lanes cut, lanes for each input instead of its weight, or no weights."""
    if longest(region, table) < 0:
        return 0
    ones = [dict.fromkeys(row, 1) for row in problem.choices]
    inputs = count(region, [{s: len(ts) for s, ts in at.tokens.items()} for at in region.layers])
    peaks = [max(row.values()) for row in table]
    allowance, width = sum(peaks), (inputs if by_choices else weight).bit_length() + 1
    factors = []
    for (tokens, _), row, peak, weights in zip(
        region.layers, table, peaks, ones if plain else problem.choices, strict=True
    ):
        losses = {t: -(-(peak - x) * (steps + 1) // (allowance + 1)) if up else 0 for t, x in row.items()}
        if not up:
            losses = {t: (peak - x) * (steps + 1) // (allowance + 1) for t, x in row.items()}
        else:
            losses = {t: -((x - peak) * (steps + 1) // (allowance + 1)) for t, x in row.items()}
        most = steps - cut
        factors.append(
            {s: polynomial([(losses[t], weights[t]) for t in ts if losses[t] <= most], width, most)
             for s, ts in tokens.items()}
        )
    return count(region, factors, (1 << (width * (steps - cut + 1))) - 1) % ((1 << width) - 1)


def merged_groups() -> contextlib.AbstractContextManager[None]:
    """One count for each query and label, of whatever groups."""

    def derive(own: Callable[..., Any], problem: Problem, premises: Any, args: Any) -> Tally:
        found: dict[tuple[int, int, int], int] = {}
        for c in own(problem, premises, args).counts:
            found[c.m, c.queries, c.ns] = found.get((c.m, c.queries, c.ns), 0) + c.correct
        return Tally(tuple(Count(*key, correct, 0) for key, correct in found.items()))

    return rule("region_counts", derive)


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
    "weights at their lower ends": one_end(True),
    "weights at their upper ends": one_end(False),
    "no radius": no_radius,
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
    "four chords without doubt": line(4, False, ("silu", "gelu_tanh", "gelu_erf")),
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
    "losses rounded up": lambda: counted(partial(reached, up=True)),
    "one step too few": lambda: counted(partial(reached, cut=1)),
    "groups that overlap merged": merged_groups,
    "the largest class instead of all": largest_class,
    "labels not checked": labels_not_checked,
}
