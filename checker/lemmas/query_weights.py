"""Attention weights of a query from approximate scores, at one position or at the worst of a pool of positions."""

from checker.arithmetic.enclosures import Enclosure, Power, aligned, shift_up
from checker.facts import ScoreApproximation
from checker.lemmas.paths import Ends, pairs
from checker.problem import Problem


class QueryWeights:
    """Attention weights of every query, from approximate scores."""

    def __init__(self, problem: Problem, scores: ScoreApproximation, bits: int) -> None:
        self.problem, self.bits = problem, bits
        of_scores = problem.attention.of_scores(scores.kept, scores.exponent, bits)
        # exp(S[t]) as a multiple of exp(S[m] - K[m] + error), which is the same for all t: for t != m, and for t = m
        self.others: list[list[Power]] = []
        self.own: list[list[Power]] = []
        for error, powers in zip(scores.error, of_scores, strict=True):
            light, heavy, far = problem.attention.exp_below(error, scores.exponent, bits)
            least, _, farther = problem.attention.exp_below(2 * error, scores.exponent, bits)
            self.others.append([Power((low * least) >> (bits + farther), high, shift) for low, high, shift in powers])
            self.own.append(
                [Power((low * light) >> bits, shift_up(high * heavy, bits), shift + far) for low, high, shift in powers]
            )

    def of_pair(self, q: int, m: int) -> tuple[list[Enclosure], list[Enclosure]]:
        """Enclosures of exp(sP(q, p)), and of exp(sE(q, t)) for t <= m, whose products are true up to one factor.

        In units of 2^-bits; the largest token weight times the largest position weight is about 1.
        """
        tokens = aligned([*self.others[q][:m], self.own[q][m]], self.bits)
        largest = max([weight.high for weight in tokens])
        positions = self.problem.attention.position_weights(q, self.bits)
        scaled = [
            Enclosure((low << self.bits) // largest, -(-(high << self.bits) // largest)) for low, high in positions
        ]
        return scaled, tokens

    def of_pools(self, q: int, m: int, pools: list[list[int]]) -> list[Ends]:
        """For each pool and t <= m what holds at all positions of the pool; for the last pool of the query only."""
        positions, tokens = self.of_pair(q, m)
        *others, last = [hull([positions[p] for p in pool]) for pool in pools]
        ends, own = pairs(tokens), pairs(tokens[q : q + 1])
        return [*[products(position, ends) for position in others], products(last, own)]


def hull(enclosures: list[Enclosure]) -> Enclosure:
    """The least enclosure of several numbers."""
    lows, highs = zip(*enclosures, strict=True)
    return Enclosure(min(lows), max(highs))


def products(position: Enclosure, tokens: Ends) -> Ends:
    """The weight of a position times that of each token."""
    (low, high), (lows, highs) = position, tokens
    return tuple([low * x for x in lows]), tuple([high * x for x in highs])
