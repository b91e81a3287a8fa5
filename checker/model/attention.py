"""Attention weights of one model: exponentials of its scores, enclosed to as many bits as a step asks for."""

from functools import cache

from checker.arithmetic.enclosures import Enclosure, Power, aligned
from checker.arithmetic.matrices import Matrix
from checker.arithmetic.scaled_exp import ScaledExp
from checker.model.circuits import Circuits


class Attention:
    """Each table is made once for each precision, as long as the check lasts."""

    def __init__(self, circuits: Circuits) -> None:
        self.circuits = circuits
        self.exp = ScaledExp((circuits.h, 1))
        self.all_exponentials, self.of_scores = cache(self.every_exponential), cache(self.exponentials_of)

    def exp_below(self, difference: int, exponent: int, bits: int) -> Power:
        """exp(-difference * 2^exponent / sqrt(d_head))."""
        return self.exp(difference, difference, exponent, bits)

    def exponentials(self, scores: Matrix, row: int, bits: int) -> list[Power]:
        """exp((score - largest score of the row) / sqrt(d_head)) for every entry of a row."""
        largest = max(scores.rows[row])
        return [self.exp_below(largest - score, scores.exponent, bits) for score in scores.rows[row]]

    def every_exponential(self, name: str, bits: int) -> list[list[Power]]:
        """exp(sE) or exp(sP) for every query, each row up to a positive factor. One exp per entry."""
        scores = {"token": self.circuits.token_scores, "position": self.circuits.position_scores}[name]
        return [self.exponentials(scores, q, bits) for q in range(self.circuits.v)]

    def exponentials_of(self, scores: tuple[tuple[int, ...], ...], exponent: int, bits: int) -> list[list[Power]]:
        """The same for scores that a step states, which several steps may build on."""
        return [self.exponentials(Matrix.of(scores, exponent), q, bits) for q in range(len(scores))]

    def token_weights(self, q: int, m: int, bits: int) -> list[Enclosure]:
        """Enclosures of exp(sE(q, t)) for t <= m up to a positive factor, at most 2^bits."""
        return aligned(self.all_exponentials("token", bits)[q][: m + 1], bits)

    def position_weights(self, q: int, bits: int) -> list[Enclosure]:
        """Enclosures of exp(sP(q, p)) up to a positive factor, at most 2^bits."""
        return aligned(self.all_exponentials("position", bits)[q], bits)
