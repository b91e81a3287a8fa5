"""How far wrong outputs are ahead of the label: a constant, and for each head a mean over positions."""

from functools import lru_cache
from operator import mul

from checker.arithmetic.balls import Ball
from checker.arithmetic.enclosures import largest_product, shift_up
from checker.arithmetic.packing import members
from checker.lemmas.lines import PIECES, intercept
from checker.lemmas.paths import Lanes, Table, lanes_of
from checker.problem import Problem
from checker.problem.regions import Region

Integers = tuple[int, ...]


class Ahead:
    """Upper bounds on logit_y - logit_c + margin, times what `scale` encloses, for every y of a class; unit 2^-bits.

    Each neuron is replaced by a line of a given slope: above it where it favours y over c, below it where it does not.
    """

    def __init__(self, problem: Problem, bits: int) -> None:
        self.bits, self.margin, self.budget = bits, problem.margin_upper(-bits), problem.budget
        self.layer = problem.one_layer(bits)
        # one group after another
        self.gains, self.lanes = lru_cache(256)(self.of_attention), lru_cache(1)(self.of_classes)

    def favours(self, y: int, c: int) -> list[int]:
        """What each neuron adds to logit_y - logit_c, times its activation; in the unit of `out`."""
        return [row[y] - row[c] for row in self.layer.out.rows]

    def difference(self, x: Ball, y: int, c: int, factors: list[int]) -> int:
        """Feature y less feature c, and the neurons' features times factors in the unit of `out` times 2^-bits."""
        ahead = x.centre[y] - x.centre[c] + 2 * x.radius
        if not factors:
            return ahead
        bent = sum(map(mul, factors, x.centre[-len(factors) :])) + x.radius * sum(map(abs, factors))
        return ahead + shift_up(bent, self.bits - self.layer.out.exponent)

    def of_attention(self, c: int, rivals: int, slopes: Integers) -> list[Table]:
        """[head][p][t]: the largest difference of a class, at every position and token by itself."""
        ys = [(y, list(map(mul, self.favours(y, c), slopes))) for y in members(rivals)]
        return [
            [{t: max([self.difference(x, y, c, lines) for y, lines in ys]) for t, x in row.items()} for row in values]
            for values in self.layer.values
        ]

    def of_classes(self, c: int, classes: tuple[int, ...], slopes: tuple[Integers, ...]) -> list[Lanes]:
        """By head: the gains of several classes side by side."""
        gains = [self.gains(c, *of_class) for of_class in zip(classes, slopes, strict=True)]
        return [lanes_of(tables, self.bits) for tables in zip(*gains, strict=True)]

    def constant(self, region: Region, rivals: int, slopes: Integers, ranges: Integers) -> int:
        """The largest of a class: the direct path, biases, intercepts of lines and the margin."""
        layer, c, constants = self.layer, region.group.label, []
        for y in members(rivals):
            self.budget.spend(layer.neurons * (1 if layer.act.name == "relu" else 1000 * PIECES) * layer.words)
            bias = shift_up(layer.bias.rows[0][y] - layer.bias.rows[0][c], -self.bits - layer.bias.exponent)
            favours = self.favours(y, c)
            factors = list(map(mul, favours, slopes))
            constant = self.difference(layer.direct(region.query), y, c, factors)
            constant += shift_up(largest_product(bias + self.margin, layer.scale), self.bits)
            neurons = zip(favours, ranges[::2], ranges[1::2], slopes, strict=True)
            for favour, low, high, slope in neurons:
                line = intercept(layer.act, low, high, slope, above=favour >= 0)
                constant += shift_up(favour * line, -layer.out.exponent)
            constants.append(constant)
        return max(constants)
