"""float32_any_order: how far a float32 program may be off, by the formulas of docs/rules.md without rounding.

Fractions, but for an upper bound of 1/sqrt(s). The size of a number that a program computes is at most the exact size
and the error, for queries, keys, values and means; and else what the sizes of the summands add up to, and the error of
this sum alone. Errors and sizes have no sign.
"""

from fractions import Fraction
from typing import Any

from flint import arb

from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated
from tests.support.any_oracle import precision, rational
from tests.support.any_problem import Inputs

Vector = list[Fraction]
Rows = list[Vector]
U = Fraction(1, 1 << 24)
FLUSHED = Fraction(1, 1 << 64)  # what is below 2^-126 moves nothing by more
LEAST_OF_ACTIVATIONS = Fraction(1, 1 << 125)  # an error that an activation may have at any argument
MOST, MOST_SUMMANDS = 1 << 24, 1 << 16
LEAST_SCALE, MOST_SCALE = Fraction(1, 1 << 16), 1 << 16
SLOPES = {"relu": Fraction(1), "silu": Fraction("1.1"), "gelu_tanh": Fraction("1.13"), "gelu_erf": Fraction("1.13")}
BITS_OF_ROOTS = 512


def float32_any_order(setting: Setting, premises: list[Stated], args: dict[str, Any]) -> Any:
    a = setting.architecture
    fits = a["blocks"] == 1 and a["pool"] == "none" and not a["norms"] and a["readout_layers"] == 0
    require(fits, "wrong-problem", "rule")
    key = "float32", str(setting.problem)
    found = setting.model.tables.setdefault(key, {})
    if not found:
        found["gap"] = Program(setting).gap()
    above, below = setting.margin + found["gap"], setting.margin - found["gap"]
    for i, premise in enumerate(premises):
        require(premise.margin >= above or premise.margin <= below, "margin-too-close", f"premises[{i}]")
    return {
        "correct": max([0, *(p.fact["correct"] for p in premises if p.margin >= above)]),
        "wrong": max([0, *(p.fact["wrong"] for p in premises if p.margin <= below)]),
    }


class Program:
    """Errors of any float32 program of one model, for the inputs of one problem."""

    def __init__(self, setting: Setting) -> None:
        tensors, self.architecture = setting.model.file.tensors, setting.architecture
        weights = [x for tensor in tensors.values() for x in flat(tensor)]
        require(all(map(is_float32, weights)), "not-float32", "rule")
        require(all(abs(x) < MOST for x in weights), "beyond-float32", "rule")
        self.W_E, self.W_pos = tensors["embed.W_E"], tensors["pos_embed.W_pos"]
        self.W_U, self.b_U = tensors["unembed.W_U"], tensors["unembed.b_U"]
        self.attn = {name.removeprefix("blocks.0.attn."): tensor for name, tensor in tensors.items() if "attn" in name}
        self.mlp = {name.removeprefix("blocks.0.mlp."): tensor for name, tensor in tensors.items() if "mlp" in name}
        self.d, self.h = len(self.W_U), len(self.attn["W_Q"][0][0])
        self.k, self.heads = setting.positions, range(self.architecture["heads"])
        sizes = [self.d, self.h, self.h * len(self.heads), len(self.mlp.get("b_in", [])), self.k]
        require(max(sizes) <= MOST_SUMMANDS, "beyond-float32", "rule")
        scale = Fraction(self.architecture["attn_scale_squared"])
        require(LEAST_SCALE <= scale <= MOST_SCALE, "beyond-float32", "rule")
        self.inverse_root = root_upper(1 / scale)
        self.look(Inputs(setting.problem))

    def look(self, inputs: Inputs) -> None:
        """What does not depend on the query: keys and values, each entry by itself the worst of all inputs."""
        self.readout = int(inputs.readout(False) or 0)
        causal = self.architecture["mask"] == "causal"
        seen = [p for p in range(self.k) if p <= self.readout or not causal]
        self.queries = sorted(inputs.weights[self.readout])
        rows = [self.embedded(p, t) for p in seen for t in inputs.weights[p]]
        keys = [[self.part("K", head, r) for r in rows] for head in self.heads]
        values = [[self.part("V", head, r) for r in rows] for head in self.heads]
        self.keys = [largest_of([sizes(x) for x, _ in of_head]) for of_head in keys]
        self.key_errors = [largest_of([e for _, e in of_head]) for of_head in keys]
        self.values = [largest_of([sizes(x) for x, _ in of_head]) for of_head in values]
        self.value_errors = [largest_of([e for _, e in of_head]) for of_head in values]
        self.all_values = [[x for x, _ in of_head] for of_head in values]
        self.to_logits = self.reaching(self.W_U)
        self.to_neurons = self.reaching(self.mlp["W_in"]) if self.mlp else []

    def reaching(self, onto: Rows) -> list[tuple[Rows, Vector]]:
        """For each head the absolute values of W_O and what follows, and the spread of what its values add there."""
        found = []
        for head in self.heads:
            through = product(self.attn["W_O"][head], onto)
            added = [times(v, through) for v in self.all_values[head]]
            spread = [max(column) - min(column) for column in zip(*added, strict=True)]
            found.append(([sizes(row) for row in through], spread))
        return found

    def embedded(self, p: int, t: int) -> Vector:
        return plus(self.W_E[t], self.W_pos[p])

    def part(self, name: str, head: int, r: Vector) -> tuple[Vector, Vector]:
        """A query, a key or a value; and its errors, of a sum of d products with a rounded r, and a bias."""
        weight, bias = self.attn[f"W_{name}"][head], self.attn[f"b_{name}"][head]
        return plus(times(r, weight), bias), self.rounded(self.d + 3, weighed(sizes(r), weight, bias))

    def rounded(self, roundings: int, summed: Vector) -> Vector:
        """Errors of sums, by Lemma 15, whose summands have these sizes together."""
        require(all(x < MOST for x in summed), "beyond-float32", "rule")
        return [gamma(roundings) * x + FLUSHED for x in summed]

    def gap(self) -> Fraction:
        """G. Of one output there is no other to be compared with."""
        return max(sum(sorted(self.errors(q))[-2:], Fraction(0)) for q in self.queries)

    def errors(self, q: int) -> Vector:
        """E_y for inputs with the query q."""
        r = self.embedded(self.readout, q)
        lambdas, z, z_errors = [], [], []
        for head in self.heads:
            moved, sizes_of_mean, errors_of_mean = self.attended(head, r)
            lambdas.append(moved)
            z.append(sizes_of_mean)
            z_errors.append(errors_of_mean)
        written = plus(sizes(r), sizes(self.attn["b_O"]))
        for head in self.heads:
            written = plus(written, times(z[head], [sizes(row) for row in self.attn["W_O"][head]]))
        x_errors = self.rounded(len(self.heads) * self.h + 4, written)
        x = plus(written, x_errors)

        def arriving(reaching: list[tuple[Rows, Vector]], onto: Rows) -> Vector:
            """Errors of attention and of the residual, behind a matrix."""
            total = weighed(x_errors, onto)
            for (through, spread), moved, errors in zip(reaching, lambdas, z_errors, strict=True):
                total = plus(total, [moved / 2 * s for s in spread], times(errors, through))
            return total

        logits = arriving(self.to_logits, self.W_U)
        if self.mlp:
            W_in, b_in, W_out, b_out = (self.mlp[name] for name in ("W_in", "b_in", "W_out", "b_out"))
            summed = weighed(x, W_in, b_in)
            own = self.rounded(self.d + 2, summed)
            n, n_errors = plus(summed, own), plus(arriving(self.to_neurons, W_in), own)
            slope, relu = SLOPES[self.architecture["activation"]], self.architecture["activation"] == "relu"
            a_errors = [
                slope * e + (0 if relu else 16 * U * size + LEAST_OF_ACTIVATIONS)
                for e, size in zip(n_errors, n, strict=True)
            ]
            written = plus(weighed(plus(n, a_errors), W_out, b_out), x)
            x_errors = self.rounded(len(b_in) + 3, written)
            x = plus(written, x_errors)
            logits = plus(logits, weighed(a_errors, product(W_out, self.W_U)), weighed(x_errors, self.W_U))
        return plus(logits, self.rounded(self.d + 2, weighed(x, self.W_U, self.b_U)))

    def attended(self, head: int, r: Vector) -> tuple[Fraction, Vector, Vector]:
        """lambda, and the sizes and errors of a computed mean."""
        query, q_errors = self.part("Q", head, r)
        q, k, k_errors = sizes(query), self.keys[head], self.key_errors[head]
        q_computed, k_computed = plus(q, q_errors), plus(k, k_errors)
        most = dot(q_computed, k_computed) * self.inverse_root
        off = dot(q_computed, k_errors) + dot(q_errors, k)
        delta = gamma(self.h + 12) * most + off * self.inverse_root + FLUSHED
        exponents = 2 * gamma(4) * most + gamma(9 * self.k)
        tau = grown(2 * exponents + (2 * self.k + 6) * U)
        v, v_errors = self.values[head], self.value_errors[head]
        errors = [e + tau * (size + e) + FLUSHED for size, e in zip(v, v_errors, strict=True)]
        return delta + exponents, plus(v, errors), errors


def flat(tensor: Any) -> Vector:
    return [x for part in tensor for x in flat(part)] if isinstance(tensor, list) else [tensor]


def is_float32(x: Fraction) -> bool:
    """24 digits, the last of them at 2^-149 or above, and below 2^128."""
    if abs(x) >= 1 << 128 or (1 << 149) % x.denominator:
        return False
    odd = abs(x.numerator)
    return odd == 0 or odd // (odd & -odd) < 1 << 24


def grown(x: Fraction) -> Fraction:
    """Lemma 14."""
    require(x <= Fraction(1, 2), "beyond-float32", "rule")
    return x / (1 - x)


def gamma(roundings: int) -> Fraction:
    return grown(roundings * U)


def root_upper(x: Fraction) -> Fraction:
    """An upper bound of the root."""
    with precision(BITS_OF_ROOTS):
        mantissa, power = arb(rational(x)).sqrt().upper().mid().man_exp()
    return int(mantissa) * Fraction(2) ** int(power)


def sizes(x: Vector) -> Vector:
    return [abs(entry) for entry in x]


def plus(*vectors: Vector) -> Vector:
    return [sum(entries, Fraction(0)) for entries in zip(*vectors, strict=True)]


def dot(x: Vector, y: Vector) -> Fraction:
    return sum((a * b for a, b in zip(x, y, strict=True)), Fraction(0))


def times(x: Vector, matrix: Rows) -> Vector:
    return [dot(x, list(column)) for column in zip(*matrix, strict=True)]


def weighed(x: Vector, matrix: Rows, bias: Vector | None = None) -> Vector:
    """|x| |W| + |b|, for an x without signs."""
    products = times(x, [sizes(row) for row in matrix])
    return products if bias is None else plus(products, sizes(bias))


def product(one: Rows, other: Rows) -> Rows:
    return [times(row, other) for row in one]


def largest_of(vectors: Rows) -> Vector:
    """Each entry by itself."""
    return [max(column) for column in zip(*vectors, strict=True)]
