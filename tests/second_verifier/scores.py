"""The five score rules: token scores up to an error, all exact.

Matrices carry the exponent of their unit, for means that are rounded down.
"""

from fractions import Fraction
from math import floor
from typing import Any, NamedTuple

from tests.second_verifier.one_head import Matrix, Row, matmul, minus, plus, spread, transpose
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated

Args = dict[str, Any]


class Factor(NamedTuple):
    rows: Matrix
    unit: int  # an exponent

    def __matmul__(self, other: "Factor") -> "Factor":
        return Factor(matmul(self.rows, other.rows), self.unit + other.unit)

    def less(self, other: "Factor") -> "Factor":
        return Factor(minus(self.rows, other.rows), min(self.unit, other.unit))

    def plus_row(self, row: Row, unit: int) -> "Factor":
        return Factor(plus(self.rows, row), min(self.unit, unit))

    @property
    def transposed(self) -> "Factor":
        return Factor(transpose(self.rows), self.unit)


def down(x: Fraction, unit: int) -> Fraction:
    """A multiple of 2^unit."""
    return floor(x / Fraction(2) ** unit) * Fraction(2) ** unit


def factors_of(setting: Setting) -> tuple[list[Factor], Row, int]:
    """r, W_Q, W_K^T, W_E^T; and b_Q with its unit."""
    file, one = setting.model.file, setting.model.one_head
    unit = file.units
    r = Factor(one.r, min(unit["embed.W_E"], unit["pos_embed.W_pos"]))
    W_Q = Factor(one.W_Q, unit["blocks.0.attn.W_Q"])
    W_K = Factor(one.W_K, unit["blocks.0.attn.W_K"])
    W_E = Factor(one.W_E, unit["embed.W_E"])
    return [r, W_Q, W_K.transposed, W_E.transposed], one.b_Q, unit["blocks.0.attn.b_Q"]


def projector(given: Any, size: int, path: str) -> Factor:
    """onto · along, square of a size."""
    onto, along = (
        Factor([[Fraction(2) ** given["exponent"] * x for x in row] for row in given[part]], given["exponent"])
        for part in ("onto", "along")
    )
    fits = len(onto.rows) == size and len(onto.rows[0]) == len(along.rows) and len(along.rows[0]) == size
    require(fits, "wrong-shape", path)
    return onto @ along


def peeled(setting: Setting, args: Args) -> list[Factor]:
    """The factors of the residual."""
    factors, b_Q, unit = factors_of(setting)
    peels = args["peels"]
    require(len(peels) in (1, 4), "wrong-shape", "args.peels")
    if len(peels) == 1:
        r, W_Q, W_K, W_E = factors
        first = (r @ W_Q).plus_row(b_Q, unit) @ W_K
        return [first.less(first @ projector(peels[0], len(first.rows[0]), "args.peels[0]")), W_E]
    residual = []
    for i, (factor, given) in enumerate(zip(factors, peels, strict=True)):
        left = i == 3
        P = projector(given, len(factor.rows if left else factor.rows[0]), f"args.peels[{i}]")
        residual.append(factor.less(P @ factor if left else factor @ P))
    return residual


def product(factors: list[Factor]) -> Factor:
    total = factors[0]
    for factor in factors[1:]:
        total = total @ factor
    return total


def concluded(
    setting: Setting, residual: list[Factor] | None, error: list[Fraction], root2: Fraction = Fraction(0)
) -> Any:
    S = setting.model.one_head.token_scores
    kept = S if residual is None else minus(S, product(residual).rows)
    return {"exponent": 0, "kept": kept, "error": error, "root2": root2}


def weighted(rows: Matrix, bounds: list[Fraction]) -> list[Fraction]:
    """For each row the sum of |entry| times bound."""
    return [sum((abs(x) * b for x, b in zip(row, bounds, strict=True)), Fraction(0)) for row in rows]


def spreads(given: Factor) -> list[Fraction]:
    return [spread(row) for row in given.rows]


def without_mean_row(given: Factor) -> tuple[Factor, Factor]:
    """It, and the factor less it in each row."""
    mean = [down(sum(column, Fraction(0)) / len(column), given.unit) for column in zip(*given.rows, strict=True)]
    return Factor([mean], given.unit), given.plus_row([-x for x in mean], given.unit)


def score_exact(setting: Setting, premises: list[Stated], args: Args) -> Any:
    return concluded(setting, None, [Fraction(0)] * setting.model.one_head.v)


def score_residual_spread(setting: Setting, premises: list[Stated], args: Args) -> Any:
    residual = peeled(setting, args)
    return concluded(setting, residual, spreads(product(residual)))


def score_product_spread(setting: Setting, premises: list[Stated], args: Args) -> Any:
    residual = peeled(setting, args)
    cuts = range(1, len(residual))
    require(len(args["bases"]) in (0, len(cuts)), "wrong-shape", "args.bases")
    best: list[Fraction] = []
    for number, cut in enumerate(cuts):
        A, B = product(residual[:cut]), product(residual[cut:])
        extra = Fraction(0)
        if args["means"]:
            mean, A = without_mean_row(A)
            (extra,) = spreads(mean @ B)
        if args["bases"]:
            given = args["bases"][number]
            P = projector(given, len(B.rows), f"args.bases[{number}]")
            unit = Fraction(2) ** given["exponent"]
            onto, along = ([[unit * x for x in row] for row in given[part]] for part in ("onto", "along"))
            inside = weighted(matmul(A.rows, onto), [spread(row) for row in matmul(along, B.rows)])
            outside = weighted(A.less(A @ P).rows, spreads(B))
            bounds = [a + b for a, b in zip(inside, outside, strict=True)]
        else:
            bounds = weighted(A.rows, spreads(B))
        bounds = [bound + extra for bound in bounds]
        best = [min(a, b) for a, b in zip(best, bounds, strict=True)] if best else bounds
    return concluded(setting, residual, best)


def score_recursive_spread(setting: Setting, premises: list[Stated], args: Args) -> Any:
    residual = peeled(setting, args)
    bounds = spreads(residual[-1])
    for i in reversed(range(len(residual) - 1)):
        factor, extra = residual[i], Fraction(0)
        if i < args["means"]:
            mean, factor = without_mean_row(factor)
            (extra,) = spreads(product([mean, *residual[i + 1 :]]))
        bounds = [bound + extra for bound in weighted(factor.rows, bounds)]
    return concluded(setting, residual, bounds)


def score_singular_value(setting: Setting, premises: list[Stated], args: Args) -> Any:
    residual = peeled(setting, args)
    A, B = product(residual[:-1]), residual[-1]
    centred = [[x - down(sum(row, Fraction(0)) / len(row), B.unit) for x in row] for row in B.rows]
    s = args["sigma"] * Fraction(2) ** args["exponent"]
    ridge = args["ridge"] * Fraction(2) ** args["ridge_exponent"]
    G = matmul(centred, transpose(centred))
    for i, row in enumerate(G):
        row[i] += ridge
    H = matmul(transpose(A.rows), A.rows)
    N = minus([[s * s * x for x in row] for row in G], matmul(matmul(G, H), G))
    W = [[Fraction(x) for x in row] for row in args["witness"]]
    d = setting.model.one_head.d
    require(len(W) == d and len(W[0]) == d, "wrong-shape", "args.witness")
    for i, row in enumerate(matmul(matmul(transpose(W), N), W)):
        others = sum((abs(x) for j, x in enumerate(row) if j != i), Fraction(0))
        require(row[i] > others, "not-dominant", f"args.witness[{i}]")
    return concluded(setting, residual, [Fraction(0)] * setting.model.one_head.v, s)
