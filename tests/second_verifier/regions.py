"""A second verifier of the three rules about regions, written from the text of CERTIFICATE.md; shares no code with the
product. It looks at every input, computes with Arb, and counts without rounding: slow, and at least as strong.

    verify(about, steps)    # returns, or raises Refused(code, path)

`steps` are regions, region_gaps and region_counts, as a certificate writes them, each the premise of the next.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, Protocol

from flint import arb

from tests.second_verifier.facts import tally_entails
from tests.second_verifier.refusal import require
from tests.support.any_model import Architecture
from tests.support.any_oracle import AnyOracle, Balls, Model, Number, Vector, plus, precision, rational
from tests.support.any_problem import Inputs, Json, Tokens


class About(Protocol):
    """What the rules are about: a Setting, or a case of a test."""

    @property
    def oracle(self) -> AnyOracle: ...

    @property
    def architecture(self) -> Architecture: ...

    @property
    def problem(self) -> Json: ...

    @property
    def margin(self) -> Fraction: ...


class Input(NamedTuple):
    """One input of positive weight."""

    tokens: Tokens
    weight: int
    label: int


class Region(NamedTuple):
    """A group and its inputs with one query and one part."""

    group: Json
    number: int
    query: int
    inputs: list[Input]


class Layer:
    """The tables of one attention layer, as real numbers."""

    def __init__(self, case: About) -> None:
        self.model = Model(Balls(), case.oracle.exact, case.architecture)
        self.inputs = Inputs(case.problem)
        self.all = [Input(*item) for item in self.inputs]
        self.r, self.k = int(self.inputs.readout(False) or 0), len(self.inputs.weights)
        self.tensors, self.heads = self.model.tensors, case.architecture["heads"]
        self.causal = case.architecture["mask"] == "causal"
        self.seen = [p for p in range(self.k) if p <= self.r or not self.causal]
        self.outputs, self.act = len(self.tensors["unembed.b_U"]), case.architecture["activation"]
        self.mlp = self.act != "none"
        self.neurons = len(self.tensors["blocks.0.mlp.b_in"]) if self.mlp else 0
        self.U, self.B = self.tensors["unembed.W_U"], self.tensors["unembed.b_U"]
        self.weight = cache(self.find_weight)
        self.least, self.most = arb(1), arb(1)  # of the divisor
        if "final" in case.architecture["norms"]:
            self.fold()
            self.least, self.most = self.divisor()

    def fold(self) -> None:
        """The weights of the final LayerNorm become part of U and B."""
        d = len(self.U)
        w, b = [arb(1)] * d, [arb(0)] * d
        if self.model.architecture["normalization"] == "LN":
            w, b = self.tensors["ln_final.w"], self.tensors["ln_final.b"]
        self.B = self.model.linear(b, self.U, self.B)
        scaled = [[scale * x for x in row] for scale, row in zip(w, self.U, strict=True)]
        sums = [sum(column, arb(0)) for column in zip(*scaled, strict=True)]
        self.U = [[d * x - total for x, total in zip(row, sums, strict=True)] for row in scaled]

    def divisor(self) -> tuple[Number, Number]:
        """The least and the most that it can be."""
        d, b_O = len(self.U), self.tensors["blocks.0.attn.b_O"]
        spread = largest([std(plus(self.embedded(self.r, q), b_O)) for q in self.inputs.weights[self.r]])
        for head in range(self.heads):
            spread += largest([std(self.written(p, t, head)) for p in self.seen for t in self.inputs.weights[p]])
        eps = arb(self.model.eps)
        return d * eps.sqrt(), d * (spread * spread + eps).sqrt()

    def divisor_at(self, x: Tokens) -> Number:
        """What it is for one input."""
        if "final" not in self.model.architecture["norms"]:
            return arb(1)
        residual = plus(self.embedded(self.r, x[self.r]), self.tensors["blocks.0.attn.b_O"])
        for head in range(self.heads):
            terms = [(self.weight(x[self.r], p, x[p], head), self.written(p, x[p], head)) for p in self.seen]
            total = sum((w for w, _ in terms), arb(0))
            mean = [sum((w * v[i] for w, v in terms), arb(0)) / total for i in range(len(residual))]
            residual = plus(residual, mean)
        return len(residual) * (std(residual) ** 2 + arb(self.model.eps)).sqrt()

    def embedded(self, p: int, t: int) -> Vector:
        return plus(self.tensors["embed.W_E"][t], self.tensors["pos_embed.W_pos"][p])

    def attending(self, p: int, t: int, part: str, head: int) -> Vector:
        """A query, a key or a value."""
        x = self.embedded(p, t)
        if "pre" in self.model.architecture["norms"]:
            x = self.model.norm(x, "blocks.0.ln1")
        attn = "blocks.0.attn."
        return self.model.linear(x, self.tensors[f"{attn}W_{part}"][head], self.tensors[f"{attn}b_{part}"][head])

    def find_weight(self, q: int, p: int, t: int, head: int) -> Number:
        """exp of the score."""
        query, key = self.attending(self.r, q, "Q", head), self.attending(p, t, "K", head)
        score = sum((a * b for a, b in zip(query, key, strict=True)), arb(0))
        return (score / arb(self.model.scale_squared).sqrt()).exp()

    def features(self, x: Vector, biases: bool) -> Vector:
        """The logits without biases of a residual, times the divisor, then what enters the neurons."""
        logits = self.model.linear(x, self.U, [arb(0)] * self.outputs)
        if not self.mlp:
            return logits
        b_in = self.tensors["blocks.0.mlp.b_in"]
        entering = self.model.linear(x, self.tensors["blocks.0.mlp.W_in"], b_in if biases else [arb(0)] * len(b_in))
        if biases:
            out = self.model.linear(self.tensors["blocks.0.mlp.b_out"], self.U, [arb(0)] * self.outputs)
            logits = plus(logits, out)
        return [*logits, *entering]

    def written(self, p: int, t: int, head: int) -> Vector:
        """What a head adds to the residual at a position."""
        nothing = [arb(0)] * len(self.tensors["embed.W_E"][0])
        return self.model.linear(self.attending(p, t, "V", head), self.tensors["blocks.0.attn.W_O"][head], nothing)

    def value(self, p: int, t: int, head: int) -> Vector:
        """What a position adds to the features."""
        return self.features(self.written(p, t, head), biases=False)

    def direct(self, q: int) -> Vector:
        return self.features(plus(self.embedded(self.r, q), self.tensors["blocks.0.attn.b_O"]), biases=True)

    def favour(self, j: int, y: int, c: int) -> Number:
        """What neuron j adds to logit y less logit c for each unit of its activation."""
        out = self.tensors["blocks.0.mlp.W_out"][j]
        return sum((a * (row[y] - row[c]) for a, row in zip(out, self.U, strict=True)), arb(0))

    def terms(self, x: Tokens, gain: Callable[[int, int], Number], head: int) -> list[tuple[Number, Number]]:
        """(weight, gain) of each position that is seen."""
        return [(self.weight(x[self.r], p, x[p], head), gain(p, x[p])) for p in self.seen]

    def mean(self, x: Tokens, gain: Callable[[int, int], Number], head: int) -> Number:
        terms = self.terms(x, gain, head)
        return sum((w * g for w, g in terms), arb(0)) / sum((w for w, _ in terms), arb(0))


class Verifier:
    """One certificate's steps about one model and problem. Everything is in units of 2^-bits."""

    def __init__(self, case: About, bits: int) -> None:
        self.layer, self.unit = Layer(case), arb(2) ** bits
        self.margin = arb(rational(case.margin)) * self.unit
        self.bits = bits
        self.tables: dict[Any, Any] = {}

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.tables:
            self.tables[key] = make()
        return self.tables[key]

    def value(self, p: int, t: int, head: int) -> Vector:
        made: Vector = self.once((p, t, head), lambda: [x * self.unit for x in self.layer.value(p, t, head)])
        return made

    def direct(self, q: int) -> Vector:
        made: Vector = self.once(q, lambda: [x * self.unit for x in self.layer.direct(q)])
        return made

    # regions

    def check_group(self, group: Json, at: str) -> None:
        """The side conditions on a group, in the order of the text."""
        v, outputs = len(self.layer.tensors["embed.W_E"]), self.layer.outputs
        states, symbols, parts = range(len(group["next"])), group["symbols"], group["parts"]
        width = len(group["next"][0])
        fits = len(symbols) == v and all(0 <= s < width for s in symbols)
        fits &= all(s == -1 or s in states for row in group["next"] for s in row)
        fits &= len(parts) == len(states) and all(part >= -1 for part in parts)
        require(fits, "bad-automaton", at)
        require(0 <= group["label"] < outputs, "no-such-region", f"{at}.label")
        others = {y for y in range(outputs) if y != group["label"]}
        classes = [members(mask) for mask in group["rivals"]]
        require(all(ys and ys <= others for ys in classes), "no-such-region", f"{at}.rivals")
        queries = members(group["queries"])
        possible = set(self.layer.inputs.weights[self.layer.r])
        require(bool(queries) and queries <= possible, "no-such-region", f"{at}.queries")
        for x in self.layer.all:
            end = last_state(group, x.tokens) if x.tokens[self.layer.r] in queries else -1
            if end >= 0 and parts[end] >= 0:
                require(x.label == group["label"], "wrong-label", f"{at}.parts[{end}]")

    def regions_of(self, groups: list[Json]) -> Iterator[Region]:
        for number, group in enumerate(groups):
            found: dict[tuple[int, int], list[Input]] = {}
            for x in self.layer.all:
                query, end = x.tokens[self.layer.r], last_state(group, x.tokens)
                if query in members(group["queries"]) and end >= 0 and group["parts"][end] >= 0:
                    found.setdefault((query, group["parts"][end]), []).append(x)
            for (query, _), inputs in sorted(found.items()):
                yield Region(group, number, query, inputs)

    def regions(self, args: Json, stated: Json) -> list[Region]:
        """The regions; the stated ranges hold."""
        layer = self.layer
        for index, group in enumerate(args["groups"]):
            self.check_group(group, f"args.groups[{index}]")
        regions = list(self.regions_of(args["groups"]))
        require(len(args["hints"]) == len(regions), "wrong-shape", "args.hints")
        ranges = []
        for i, (region, hints) in enumerate(zip(regions, args["hints"], strict=True)):
            at = f"args.hints[{i}]"
            require(len(hints) == layer.neurons, "wrong-shape", at)
            ends = []
            for j, hint in enumerate(hints):
                require(len(hint) == 2 * layer.heads, "wrong-shape", f"{at}[{j}]")
                for x in region.inputs:
                    for head in range(layer.heads):
                        mean = layer.mean(x.tokens, self.feature(layer.outputs + j, head), head)
                        require(hint[head] <= mean <= hint[layer.heads + head], "mean-above-bound", at)
                own = self.direct(region.query)[layer.outputs + j]
                ends += [own + sum(hint[: layer.heads]), own + sum(hint[layer.heads :])]
            ranges.append(ends)
        self.require_regions({**args, "ranges": ranges}, stated, "conclusion")
        return regions

    def require_regions(self, derived: Json, stated: Json, at: str) -> None:
        """The same regions, in ranges that are no narrower."""
        same = all(derived[name] == stated[name] for name in ("bits", "groups"))
        require(same, "wrong-region", f"{at}.groups")
        shapes = [list(map(len, fact["ranges"])) for fact in (stated, derived)]
        require(shapes[0] == shapes[1], "wrong-shape", f"{at}.ranges")
        for i, (given, ends) in enumerate(zip(stated["ranges"], derived["ranges"], strict=True)):
            for j, (claimed, end) in enumerate(zip(given, ends, strict=True)):
                fits = claimed >= end if j % 2 else claimed <= end
                require(bool(fits), "range-too-narrow", f"{at}.ranges[{i}][{j}]")

    def feature(self, index: int, head: int) -> Callable[[int, int], Number]:
        return lambda p, t: self.value(p, t, head)[index]

    # region_gaps

    def intercepts(self, low: int, high: int, slope: int) -> tuple[Number, Number]:
        """Of the lines of this slope under and over the activation, between integers in units."""
        if self.layer.act == "relu":
            points, doubt = [Fraction(z) for z in (low, high, min(max(low, 0), high))], arb(0)
        else:
            points = [Fraction(low + (high - low) * i // 64) for i in range(65)]
            doubt = arb((high - low) // 64 + 1) ** 2 / 8 / self.unit
        act = getattr(self.layer.model.kind, self.layer.act)
        exact = [arb(rational(z)) for z in points]
        rest = [act(z / self.unit) * self.unit - slope * z / self.unit for z in exact]
        return -largest([-end for end in rest]) - doubt, largest(rest) + doubt

    def difference(self, x: Vector, y: int, c: int, slopes: list[int]) -> Number:
        bent = [
            self.layer.favour(j, y, c) * slope / self.unit * x[self.layer.outputs + j] for j, slope in enumerate(slopes)
        ]
        return sum(bent, x[y] - x[c])

    def gain(self, region: Region, rivals: int, slopes: list[int], head: int) -> Callable[[int, int], Number]:
        """The largest of a class, at a position and a token."""
        c = region.group["label"]

        def make(p: int, t: int) -> Number:
            return largest([self.difference(self.value(p, t, head), y, c, slopes) for y in members(rivals)])

        return lambda p, t: self.once((p, t, head, c, rivals, tuple(slopes)), lambda: make(p, t))

    def constant(self, region: Region, rivals: int, slopes: list[int], ranges: list[int]) -> Number:
        c = region.group["label"]
        found = []
        for y in members(rivals):
            kappa = (self.layer.B[y] - self.layer.B[c]) * self.unit + self.margin
            total = self.difference(self.direct(region.query), y, c, slopes)
            total += (kappa * self.layer.most).max(kappa * self.layer.least)
            for j, slope in enumerate(slopes):
                favour = self.layer.favour(j, y, c)
                low, high = ranges[2 * j], ranges[2 * j + 1]
                below, above = self.once((low, high, slope), lambda: self.intercepts(low, high, slope))  # noqa: B023
                total += (favour * above).max(favour * below)  # whichever the sign of the favour asks for
            found.append(total)
        return largest(found)

    def gaps(self, regions: list[Region], facts: Json, args: Json, stated: Json) -> None:
        layer = self.layer
        require(len(args["hints"]) == len(regions), "wrong-shape", "args.hints")
        derived = []
        for i, (region, hints, ranges) in enumerate(zip(regions, args["hints"], facts["ranges"], strict=True)):
            require(len(hints) == len(region.group["rivals"]), "wrong-shape", f"args.hints[{i}]")
            row = []
            for n, (rivals, hint) in enumerate(zip(region.group["rivals"], hints, strict=True)):
                require(len(hint) == layer.neurons + layer.heads, "wrong-shape", f"args.hints[{i}][{n}]")
                slopes, means = hint[: layer.neurons], hint[layer.neurons :]
                for head, bound in enumerate(means):
                    gain = self.gain(region, rivals, slopes, head)
                    for x in region.inputs:
                        mean = layer.mean(x.tokens, gain, head)
                        require(bool(mean <= bound), "mean-above-bound", f"args.hints[{i}]")
                row.append(self.constant(region, rivals, slopes, ranges) + sum(means))
            derived.append(row)
        self.require_regions(facts, stated["regions"], "conclusion.regions")
        shapes = [list(map(len, rows)) for rows in (stated["gaps"], derived)]
        require(shapes[0] == shapes[1], "wrong-shape", "conclusion.gaps")
        for i, (given, row) in enumerate(zip(stated["gaps"], derived, strict=True)):
            for j, (claimed, gap) in enumerate(zip(given, row, strict=True)):
                require(bool(gap <= claimed), "bound-too-small", f"conclusion.gaps[{i}][{j}]")

    # region_counts

    def counts(self, regions: list[Region], facts: Json, args: Json) -> list[list[int]]:
        layer = self.layer
        require(len(args["hints"]) == len(regions), "wrong-shape", "args.hints")
        found: dict[tuple[int, int], int] = {}  # by number of the group and query
        rows = zip(regions, args["hints"], facts["regions"]["ranges"], facts["gaps"], strict=True)
        for i, (region, hints, ranges, gaps) in enumerate(rows):
            require(len(hints) == len(gaps), "wrong-shape", f"args.hints[{i}]")
            weight = sum(x.weight for x in region.inputs)
            reached = 0
            for n, (rivals, hint, gap) in enumerate(zip(region.group["rivals"], hints, gaps, strict=True)):
                size = 0 if gap < 0 else 1 + layer.neurons + layer.heads
                require(len(hint) == size, "wrong-shape", f"args.hints[{i}][{n}]")
                if hint:
                    require(1 <= hint[0] <= 65536, "out-of-range", f"args.hints[{i}][{n}][0]")
                    reached += self.reaching(region, rivals, hint[1:], ranges)
            key = region.number, region.query
            found[key] = found.get(key, 0) + weight - min(reached, weight)
        left = self.left(facts["regions"]["groups"], found)
        every_n = (1 << layer.k) - 1
        return [[label, 1 << query, every_n, correct, 0] for (label, query), correct in left.items()]

    def left(self, groups: list[Json], found: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
        """What all groups of a label and query leave of its inputs."""
        pairs = {(group["label"], query): None for group in groups for query in sorted(members(group["queries"]))}
        left = {}
        for label, query in pairs:
            total = sum(x.weight for x in self.layer.all if (x.label, x.tokens[self.layer.r]) == (label, query))
            own = [(n, g) for n, g in enumerate(groups) if g["label"] == label and query in members(g["queries"])]
            watched = {y for _, group in own for mask in group["rivals"] for y in members(mask)}
            lost = sum(total - found.get((number, query), 0) for number, _ in own)
            whole = watched | {label} == set(range(self.layer.outputs))
            left[label, query] = max(total - lost, 0) if whole else 0
        return left

    def reaching(self, region: Region, rivals: int, hint: list[int], ranges: list[int]) -> int:
        """The weight of the inputs whose sum is not proved negative."""
        layer = self.layer
        slopes, means = hint[: layer.neurons], hint[layer.neurons :]
        constant = self.constant(region, rivals, slopes, ranges)
        gains = [self.gain(region, rivals, slopes, head) for head in range(layer.heads)]
        if layer.heads == 1:
            sums = [
                sum((w * (g + constant) for w, g in layer.terms(x.tokens, gains[0], 0)), arb(0)) for x in region.inputs
            ]
        else:
            sums = [constant + sum(means) for _ in region.inputs]
            for head, (gain, mean) in enumerate(zip(gains, means, strict=True)):
                terms = [layer.terms(x.tokens, gain, head) for x in region.inputs]
                totals = [sum((w for w, _ in of_input), arb(0)) for of_input in terms]
                least, most = -largest([-total for total in totals]), largest(totals)
                for at, of_input in enumerate(terms):
                    sums[at] += sum((share(w * (g - mean), least, most) for w, g in of_input), arb(0))
        return sum(x.weight for x, total in zip(region.inputs, sums, strict=True) if not total < 0)


def share(z: Number, least: Number, most: Number) -> Number:
    """z / least where it is positive, z / most where it is negative: the larger of the two."""
    return (z / least).max(z / most)


def std(x: Vector) -> Number:
    """The root of the mean square of x less its mean."""
    mean = sum(x, arb(0)) / len(x)
    return (sum(((entry - mean) ** 2 for entry in x), arb(0)) / len(x)).sqrt()


def largest(numbers: list[Number]) -> Number:
    end = numbers[0]
    for other in numbers[1:]:
        end = end.max(other)
    return end


def members(mask: int) -> set[int]:
    """A bit mask as a set; a negative one holds what there is not."""
    return {bit for bit in range(mask.bit_length()) if mask >> bit & 1} if mask >= 0 else {-1}


def last_state(group: Json, tokens: Tokens) -> int:
    """Where the automaton is after all tokens, or -1."""
    state = 0
    for t in tokens:
        state = group["next"][state][group["symbols"][t]] if state >= 0 else -1
    return int(state)


def verify(case: About, steps: list[Json]) -> None:
    """Return, or raise Refused."""
    regions_step, gaps_step, counts_step = steps
    bits = regions_step["args"]["bits"]
    with precision(2 * bits + 300):
        verifier = Verifier(case, bits)
        regions = verifier.regions(regions_step["args"], regions_step["conclusion"])
        verifier.gaps(regions, regions_step["conclusion"], gaps_step["args"], gaps_step["conclusion"])
        counts = verifier.counts(regions, gaps_step["conclusion"], counts_step["args"])
        tally_entails({"counts": counts}, counts_step["conclusion"], "conclusion")


def holds(case: About, fact: Json) -> bool:
    """Is a stated Regions or RegionGaps true? Labels, what enters neurons, and logits, of one input after another."""
    regions, gaps = (fact["regions"], fact["gaps"]) if "gaps" in fact else (fact, [])
    bits = 2 * regions["bits"] + 300
    with precision(bits):
        verifier = Verifier(case, regions["bits"])
        layer, found = verifier.layer, list(verifier.regions_of(regions["groups"]))
        if len(found) != len(regions["ranges"]) or (gaps and len(gaps) != len(found)):
            return False
        for i, region in enumerate(found):
            label = region.group["label"]
            for x in region.inputs:
                ends, own = regions["ranges"][i], verifier.direct(region.query)
                for j in range(layer.neurons):
                    means = [
                        layer.mean(x.tokens, verifier.feature(layer.outputs + j, h), h) for h in range(layer.heads)
                    ]
                    z = own[layer.outputs + j] + sum(means)
                    if not ends[2 * j] <= z <= ends[2 * j + 1]:
                        return False
                if x.label != label:
                    return False
                for n, rivals in enumerate(region.group["rivals"] if gaps else []):
                    leads = case.oracle.leads(x.tokens, layer.r, label, bits)
                    leads.insert(label, None)
                    most = largest([leads[y] for y in members(rivals)]) * verifier.unit + verifier.margin
                    most *= layer.divisor_at(x.tokens)
                    if not most <= gaps[i][n]:
                        return False
    return True
