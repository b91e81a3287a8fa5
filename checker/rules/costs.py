"""What each rule takes, from the sizes of the problem, of its arguments and of its premises; see checker/budget.py.

Nothing has been checked yet: shapes may be wrong. What only values tell is spent where it is done: ways through
automata, counts, prefixes of sequences, inputs that are evaluated again.
"""

from collections.abc import Callable
from typing import Any

from checker.budget import Cost, Span, longest, number, product, span, words
from checker.facts import Rows
from checker.lemmas.float32 import BITS
from checker.lemmas.splitting import Peel
from checker.model.forward import forward_memory, work
from checker.model.sizes import constants, exponential
from checker.problem import Problem

Declared = list[Cost]
BY_VALUES = {
    "branch_sequences",
    "evaluate_inputs",
    "float32_inputs",
    "regions",
    "region_gaps",
    "region_counts",
    "separable_counts",
}


def of_logits(problem: Problem, operations: int, entries: int, bits: int = 0) -> Declared:
    """Tables of logits, and as many operations and entries, in numbers of so many bits."""
    bits = max(bits, problem.sizes.logits.bits)
    what = f"bounds in {problem.v} tokens and {problem.k} positions, {bits} bits"
    return [problem.sizes.of_logits, Cost(what, operations * words(bits), entries * number(bits))]


def of_numerators(problem: Problem, exponent: int) -> tuple[Cost, int]:
    """Rounded logits, and bits of |V_p(t)|."""
    (numerator, denominator), sizes = problem.margin, problem.sizes
    above = max(sizes.logits.top, numerator.bit_length() - denominator.bit_length() + 1)
    bits, entries = max(above - exponent, 1) + 5, (2 * problem.v + problem.k) * problem.v
    what = f"logits in units of 2^{exponent}, {bits} bits"
    return Cost(what, 4 * entries * words(bits + sizes.logits.bits), 2 * entries * number(bits)), bits


def of_lanes(problem: Problem, args: dict[str, int], sequences: int, pairs: int, tokens: int) -> Declared:
    """Terms of so many tokens for each of these pairs, and sequences evaluated with them."""
    v, k, bits = problem.v, problem.k, args["bits"]
    rounded, size = of_numerators(problem, args["exponent"])
    width = size + bits + k.bit_length() + 4
    lanes = words(width * v)
    each = 12 + words(bits + size) + lanes * (2 + words(bits)) + product(bits + size, width * v)
    terms = pairs * k * (tokens * each + 8) + (2 * v + k) * v * lanes
    steps = terms + pairs * 8 * v + sequences * (8 + lanes * v.bit_length() // 8)
    memory = ((2 * v + k) + k * (tokens + v * bool(sequences)) * (tokens + 2)) * (width * v // 7 + 50)
    cost = Cost(f"{sequences or pairs} sequences in {v} lanes of {width} bits", steps, memory + pairs * 200)
    return [problem.sizes.of_logits, *problem.sizes.of_exponentials(bits), rounded, cost]


def of_attended(problem: Problem, scores: Any, bits: int, uses: int = 3) -> Declared:
    """Exponentials of stated scores, and `uses` more for each of them; those of positions."""
    x = span([*scores.kept, scores.error], scores.exponent)
    x, count = Span(x.low, x.top + 1), sum(map(len, scores.kept)) + uses
    what = f"exponentials of {count} stated scores of {x.bits} bits to {bits} bits"
    each = exponential(x, bits) + 6 * words(x.bits)
    cost = Cost(what, count * each + constants(x, bits), count * (130 + 2 * number(bits)), (what, scores))
    return [*problem.sizes.of_exponentials(bits), cost]


def of_split(problem: Problem, peels: tuple[Peel, ...], bases: tuple[Peel, ...] = (), more: int = 0) -> Declared:
    """A split of the scores; of longest numbers, products of all factors, `more` products of them are made."""
    sizes = problem.sizes
    v, d, h = problem.v, sizes.d, sizes.h
    factors = [sizes.residual, sizes.of("W_Q").plus(sizes.of("b_Q")), sizes.of("W_K"), sizes.of("embed.W_E")]
    bits, rank = sum([factor.bits for factor in factors]) + 4 * (d + h).bit_length(), 1
    for peel in (*peels, *bases):
        onto, along = span(peel.onto, peel.exponent), span(peel.along, peel.exponent)
        both = onto.times(along, len(peel.along))
        bits += max(both.top, 0) - min(both.low, 0) + 4
        rank = max(rank, len(peel.along), len(peel.onto[0]))
    what = f"scores split by matrices of rank {rank}, {bits} bits"
    entries = v * d + d * h + (v + d) * rank
    products = len(peels) * v * v * (rank + 2) + 12 * (len(peels) + len(bases)) * entries * (d + h + rank)
    steps = (products + more) * product(bits, bits // 3)
    memory = (4 * v * v + 6 * entries) * number(bits)
    return [sizes.of_scores, Cost(what, steps, memory)]


def of_singular(problem: Problem, args: dict[str, Any]) -> Declared:
    """Also products of d_model x d_model matrices, in which numbers get longer."""
    d, scores = problem.sizes.d, of_split(problem, args["peels"])
    stated = args["sigma"].bit_length() + args["ridge"].bit_length() + longest(args["witness"])
    once = sum([max(scores[0].operations, 1).bit_length(), *map(abs, (args["exponent"], args["ridge_exponent"]))])
    bits = 6 * (problem.sizes.scores.bits + sum(map(peeled, args["peels"]))) + 2 * (stated + once)
    what = f"{d} x {d} matrices of {bits} bits"
    steps = 8 * d * d * (d + problem.v) * product(bits, bits // 2)
    return [*scores, Cost(what, steps, 6 * (d + problem.v) * d * number(bits))]


def peeled(peel: Peel) -> int:
    """Bits that it adds to the numbers of a factor, and more."""
    return longest(peel.onto) + longest(peel.along) + 2 * abs(peel.exponent) + len(peel.along).bit_length() + 4


def of_centred(problem: Problem, centre: Any) -> Declared:
    """One row less for each query, times spreads."""
    sizes, v = problem.sizes, problem.v
    rest, U = sizes.residual.plus(span(centre.rows, centre.exponent)), sizes.of("unembed.W_U")
    steps = v * sizes.d * (6 * words(rest.bits) + product(rest.bits, U.bits))
    what = f"{v} x {sizes.d} numbers of {rest.bits} bits"
    return [Cost(what, steps, 2 * v * sizes.d * number(rest.bits))]


def of_lines(problem: Problem, direct: Any, operations: int, unit: int = 0) -> Declared:
    """Lines of wrong tokens from a stated centre, and operations with them in finer units."""
    v, centre, sizes = problem.v, span(direct.centre.rows, direct.centre.exponent), problem.sizes
    bits = sizes.logits.plus(centre.times(sizes.of("unembed.W_U"), sizes.d)).bits + unit
    steps = v * v * (problem.k + 8) + operations
    lines = f"lines of {v} tokens in numbers of {bits} bits"
    return [sizes.of_logits, Cost(lines, steps * product(bits, unit + 1), v * (v * 200 + 4 * problem.k * number(bits)))]


def of_cubic_tokens(problem: Problem, premises: Any, args: dict[str, int]) -> Declared:
    """d_vocab^3 n_ctx / 3 pairs of products, and attention weights of each pair."""
    v, k, bits = problem.v, problem.k, args["bits"]
    direct, value = [span(fact.rows, fact.exponent) for fact in premises]
    size, pairs = direct.plus(value).bits + bits, v * (v + 1) // 2
    steps = v * v * v * (5 + 3 * k * product(size, bits)) + pairs * k * (20 + 2 * words(v))
    what = f"{pairs} pairs and {k} positions, {size} bits"
    return [*problem.sizes.of_exponentials(bits), Cost(what, steps, pairs * k * number(v) + v * 400)]


def of_count_cubic(problem: Problem, premises: Any, args: dict[str, int]) -> Declared:
    """A power and a binomial coefficient for each mask."""
    v, k, masks = problem.v, problem.k, sum([len(row) for rows in premises[0].masks for row in rows])
    size = k * v.bit_length()
    return [Cost(f"{masks} powers of {size} bits", masks * powers(size, k), v * v * (200 + number(size)))]


def powers(bits: int, k: int) -> int:
    """A binomial coefficient of k and a power of so many bits."""
    return 12 + 2 * product(bits, bits) + k * words(k) // 8


def of_ranges(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """Two exponentials for each pair and gap, two quotients for each cell."""
    (scores,), bits, v, k = premises, args["bits"], problem.v, problem.k
    cells = sum([len(row) for rows in args["gaps"] for row in rows])
    ratios = sum([2 * len({int(gap) for gap in row if gap}) for rows in args["gaps"] for row in rows])
    x = span([*scores.kept, scores.error], scores.exponent)
    steps = ratios * (12 + exponential(Span(x.low, x.top + 2), bits)) + v * v * (v + 30 * k) * words(x.bits)
    steps += cells * (40 + 6 * product(2 * bits, bits)) + constants(Span(x.low, x.top + 2), bits)
    what = f"{cells} cells and {ratios} exponentials of scores of {x.bits} bits to {bits} bits"
    return [*problem.sizes.of_exponentials(bits), Cost(what, steps, cells * (100 + 2 * number(bits)))]


def of_gap_cells(problem: Problem, premises: Any, args: dict[str, object]) -> Declared:
    """Two products for each cell and line, a power for each cell."""
    attention, path, value = premises
    v, k, rows = problem.v, problem.k, path.lines.rows
    lines = max(map(len, rows), default=0)
    spans = [span(table.rows, table.exponent) for table in (path.lines, path.spread, value)]
    low = min(one.low for one in spans)
    bits = sum([one.bits for one in spans]) + max(one.low for one in spans) + max(-low, 0) - low
    bits += problem.margin[0].bit_length()
    cells = sum([len(row) for of_maximum in attention.ranges for row in of_maximum])
    size = k * v.bit_length()
    each = powers(size, k) + (12 + 5 * lines) * product(bits + attention.bits, attention.bits)
    what = f"{cells} cells with {lines} numbers of {bits} bits each"
    return [Cost(what, cells * each, cells * (120 + number(size)) + longest(rows))]


def of_groups(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """Gains for each class, pool and token; for each block and part tables of all its classes; without the counts."""
    v, k, bits = problem.v, problem.k, args["bits"]
    rounded, size = of_numerators(problem, args["exponent"])
    steps = memory = 0
    for group in args["groups"]:
        pools, shared, m, queries = len(group.pools) + 1, len(group.classes), min(abs(int(group.m)), v), 0
        steps += pools * (k * (6 + words(longest([group.pools]))) + m)
        for block in group.blocks:
            classes, those = shared + len(block.classes), min(int.bit_count(block.queries), v)
            queries += those
            tables = classes * pools * (m + 1)
            steps += 2 * tables * (those + len(block.parts)) + len(block.parts) * (20 + classes)
            steps += gains(block.classes, those, pools, m, k)
        steps += gains(group.classes, min(queries, v), pools, m, k) + min(queries, v) * (8 * m + 12 * k + 4 * pools * m)
        memory = max(memory, pools * (m + 1) * (min(queries, v) * 2 + shared + 2) * number(2 * bits + size))
    factor = longest([row for group in args["groups"] for row in group.classes])
    factor = max(factor, longest([row for group in args["groups"] for block in group.blocks for row in block.classes]))
    what = f"{len(args['groups'])} groups in numbers of {size + factor} bits and weights of {bits} bits"
    own = Cost(what, (steps + 12 * v * v) * product(size + factor, 2 * bits), memory + v * v * (400 + 4 * number(bits)))
    return [problem.sizes.of_logits, *of_attended(problem, premises[0], bits, 2 * v), rounded, own]


def gains(classes: Rows, queries: int, pools: int, m: int, k: int) -> int:
    """Operations of lemmas/gains.py for these classes."""
    wrong = sum([int.bit_count(row[0]) + len(row) for row in classes])
    return wrong * (4 * queries + (m + 1) * (pools + 3) + 2 * k + words(longest(classes)))


def of_branches(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """Bounds for each pair, position, token and wrong token; without the prefixes."""
    v, k, bits = problem.v, problem.k, args["bits"]
    rounded, size = of_numerators(problem, args["exponent"])
    pairs = sum([min(int.bit_count(mask), v) * (m + 1) for m, mask in enumerate(args["queries"])])
    steps = pairs * k * (12 + 8 * v) * product(size, bits) + len(args["queries"]) * v * words(v)
    what = f"bounds for {pairs} queries and tokens in {k} positions and {v} outputs, {size} bits"
    own = Cost(what, steps, k * v * (v * number(bits + size) + 300))
    return [problem.sizes.of_logits, *problem.sizes.of_exponentials(bits), rounded, own]


def of_total(problem: Problem, premises: Any, args: dict[str, object]) -> Declared:
    """Every query that is counted."""
    queries = sum([8 + int.bit_count(count.queries) for tally in premises for count in tally.counts])
    wide = words(max(problem.v, problem.k))
    return [Cost(f"{queries} queries", queries * (8 + wide), queries * (150 + number(problem.k)))]


def of_inputs(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """A forward pass for each prefix; without the inputs that are evaluated again."""
    bits = args["bits"][0]
    passes, each = problem.passes, work(problem.weights, problem.k, bits)
    what = f"{passes} positions of {each} operations"
    memory = sum([forward_memory(problem.weights, problem.choices, passes, int(b)) for b in args["bits"]])
    return [Cost(what, passes * (each + 2 * problem.k), memory)]


def of_loss(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """Two exponentials for each margin."""
    count, bits = len(args["losses"]) + len(premises), args["bits"]
    digits = longest([args["losses"]]) + problem.total.bit_length()
    each = 2 * exponential(Span(-bits, bits.bit_length() + 8), bits) + 20 * words(digits + bits)
    return [Cost(f"{count} exponentials to {bits} bits", count * each)]


def of_hints(problem: Problem, bits: int, groups: Any, hints: tuple[Rows, ...]) -> Declared:
    """Tables of one layer, gains of classes; without the ways through the automata."""
    heads, places = problem.weights.architecture.heads, sum(map(len, problem.choices))
    classes = sum([len(group.rivals) for group in groups])
    most = max([len(group.rivals) for group in groups], default=0) + 2 * problem.weights.sizes.get("d_mlp", 0)
    size = max([longest(rows) for rows in hints], default=0) + bits
    rows = sum([len(rows) for rows in hints])
    memory = (min(rows, 256) + 2 * most) * heads * places * number(size)
    what = f"{classes} classes and {rows} hints of {size} bits, {places} tokens at all positions"
    return [problem.layer_cost(bits), Cost(what, rows * (50 + 4 * words(size)), memory)]


def of_float32(problem: Problem, premises: Any, args: dict[str, object]) -> Declared:
    """Passes through the weights, for each token of a position and for each query, and products of weights."""
    sizes = [(len(rows), len(rows[0])) for rows, _ in problem.weights.tensors.values()]
    entries, widest = sum([rows * columns for rows, columns in sizes]), max(map(max, sizes))
    passes = 2 * (sum(map(len, problem.choices)) + len(problem.choices[problem.query_position]) + widest)
    what = f"{passes} passes through {entries} weights"
    return [problem.layer_cost(BITS), Cost(what, 4 * passes * entries, 8 * entries * number(4 * BITS))]


def of_float32_inputs(problem: Problem, premises: Any, args: dict[str, Any]) -> Declared:
    """As much again as without float32, and squares of matrices; of each column of the unembedding by itself."""
    sizes = [(name, len(W.rows), len(W.rows[0])) for name, W in problem.weights.tensors.items()]
    squared = [(n, m) if "embed" not in name else (1, n * m) for name, n, m in sizes]
    steps = sum([2 * min(n, m) ** 2 * (max(n, m) + 3 * min(n, m)) + 60 * n * m for n, m in squared]) * len(args["bits"])
    widest = max([min(size) for size in squared])
    own = Cost(f"singular values of {len(squared)} matrices", steps, 2 * widest * widest * number(128))
    (inputs,) = of_inputs(problem, premises, args)
    return [inputs._replace(operations=2 * inputs.operations), own]


COSTS: dict[str, Callable[[Problem, Any, Any], Declared]] = {
    "direct_path_upper": lambda p, _, a: of_logits(
        p, 2 * p.v**3, p.v * p.v // 2, p.sizes.logits.plus(Span(a["exponent"], a["exponent"])).bits
    ),
    "value_path_upper": lambda p, _, a: of_logits(p, 3 * p.v * p.v * (p.v + p.k), p.v * p.v),
    "pure_sequences": lambda p, _, a: of_lanes(p, a, 0, p.v * (p.v + 1) // 2, 2),
    "cubic_tokens": of_cubic_tokens,
    "count_cubic": of_count_cubic,
    "enumerate_sequences": lambda p, _, a: of_lanes(p, a, p.v**p.k, p.v * (p.v + 1) // 2, p.v),
    "direct_path_spread": lambda p, _, a: of_logits(p, p.v * p.v, p.v),
    "direct_path_centred_spread": lambda p, _, a: of_centred(p, a["centre"]),
    "value_path_spread": lambda p, _, a: of_logits(p, p.v * p.v, p.v),
    "max_token_drop": lambda p, f, a: of_lines(p, f[0], 0),
    "max_token_mean": lambda p, f, a: of_lines(
        p, f[0], 3 * p.v * p.v * p.k, abs(a["centres"].exponent) + longest(a["centres"].rows)
    ),
    "max_token_envelope": lambda p, f, a: of_lines(p, f[0], 12 * p.v * p.v * p.v.bit_length()),
    "score_exact": lambda p, _, a: of_split(p, ()),
    "score_residual_spread": lambda p, _, a: of_split(p, a["peels"], more=p.v * p.v * p.sizes.d),
    "score_product_spread": lambda p, _, a: of_split(p, a["peels"], a["bases"]),
    "score_recursive_spread": lambda p, _, a: of_split(p, a["peels"]),
    "score_singular_value": lambda p, _, a: of_singular(p, a),
    "attention_ranges": of_ranges,
    "gap_cells": of_gap_cells,
    "separable_counts": of_groups,
    "branch_sequences": of_branches,
    "regions": lambda p, _, a: of_hints(p, a["bits"], a["groups"], a["hints"]),
    "region_gaps": lambda p, f, a: of_hints(p, int(f[0].bits), f[0].groups, a["hints"]),
    "region_counts": lambda p, f, a: of_hints(p, int(f[0].regions.bits), f[0].regions.groups, a["hints"]),
    "total": of_total,
    "evaluate_inputs": of_inputs,
    "expected_loss": of_loss,
    "float32_any_order": of_float32,
    "float32_inputs": of_float32_inputs,
}
