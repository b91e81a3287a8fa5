"""Measures of a model and of a proof, beside the bound itself: accuracy, and the paper's two (arXiv 2406.11779)."""

from certgen.measures.accuracy import Accuracy, rounded_down, true_accuracy
from certgen.measures.area import area_under_frontier, brute_force_length
from certgen.measures.dimension import unexplained_dimension
from certgen.measures.flops import flops

__all__ = [
    "Accuracy",
    "area_under_frontier",
    "brute_force_length",
    "flops",
    "rounded_down",
    "true_accuracy",
    "unexplained_dimension",
]
