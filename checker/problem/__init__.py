"""What a proof is about: the task max-of-k for one model and one margin; and what checking it may cost."""

from checker.model.attention import Attention
from checker.model.circuits import Circuits
from checker.model.weights import Weights
from checker.problem.budget import Budget


class Problem:
    """Max-of-k for one model, k = n_ctx, v = d_vocab. The margin is the fraction numerator / denominator >= 0."""

    def __init__(self, weights: Weights, margin: tuple[int, int], budget: int) -> None:
        self.circuits = Circuits(weights)
        self.attention = Attention(self.circuits)
        self.margin = margin
        self.budget = Budget(budget)
        self.v, self.k = self.circuits.v, self.circuits.k

    def margin_upper(self, exponent: int) -> int:
        """The margin rounded up to a multiple of 2^exponent."""
        numerator, denominator = self.margin
        return -(-(numerator << max(-exponent, 0)) // (denominator << max(exponent, 0)))
