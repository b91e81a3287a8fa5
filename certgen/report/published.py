"""Table 1 of the paper: Gross et al., "Compact Proofs of Model Performance via Mechanistic Interpretability".

NeurIPS 2024, arXiv 2406.11779; mean and standard deviation over 150 seeds, as its reference code computed them. All
rows but the first are normalised by true accuracy, which was sampled for k >= 5.
"""

from certgen.report.results import Task

SOURCE = "https://arxiv.org/abs/2406.11779"
TRUE_ACCURACY = "true accuracy"

TASKS = (Task(4, 64), Task(5, 64), Task(10, 64), Task(10, 128), Task(20, 64))

_ROWS = {
    TRUE_ACCURACY: (
        ("0.9992", "0.0015"),
        ("0.9990", "0.0018"),
        ("0.9988", "0.0013"),
        ("0.9972", "0.0031"),
        ("0.995", "0.015"),
    ),
    "cubic": (("0.9539", "0.0080"), ("0.942", "0.010"), ("0.915", "0.021"), ("0.885", "0.012"), ("0.888", "0.036")),
    "sub-cubic": (("0.700", "0.036"), ("0.702", "0.033"), ("0.673", "0.030"), ("0.613", "0.037"), ("0.563", "0.041")),
    "low-rank QK": (("0.675", "0.035"), ("0.682", "0.033"), ("0.658", "0.028"), ("0.595", "0.035"), ("0.549", "0.041")),
    "low-rank EU": (("0.633", "0.062"), ("0.649", "0.055"), ("0.640", "0.032"), ("0.609", "0.030"), ("0.540", "0.040")),
    "low-rank QK and EU": (
        ("0.610", "0.060"),
        ("0.629", "0.053"),
        ("0.626", "0.031"),
        ("0.596", "0.030"),
        ("0.528", "0.039"),
    ),
    "quadratic QK": (
        ("0.316", "0.037"),
        ("0.354", "0.034"),
        ("0.393", "0.030"),
        ("0.351", "0.029"),
        ("0.323", "0.035"),
    ),
    "quadratic QK and EU": (
        ("0.283", "0.037"),
        ("0.336", "0.033"),
        ("0.391", "0.028"),
        ("0.385", "0.025"),
        ("0.322", "0.034"),
    ),
}

# By class, then by task: (mean, standard deviation) with the digits that were published.
PUBLISHED = {name: dict(zip(TASKS, values, strict=True)) for name, values in _ROWS.items()}
