"""Section 5: the table of rules, with their arguments."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

from tests.second_verifier import (
    any_problem_rules,
    cubic,
    float32,
    float32_inputs,
    gaps,
    layer_rules,
    paths_of_one_head,
    scores,
    separable,
    sequences,
)
from tests.second_verifier.facts import bits, exponent, group, integers, matrix, table
from tests.second_verifier.refusal import require
from tests.second_verifier.setting import Setting, Stated
from tests.second_verifier.strict_json import Json, Reader, integer, list_of, record


def class_of(value: Json, path: str) -> Json:
    integers(value, path)
    require(bool(value), "wrong-type", path)
    return value


def counted(value: Json, path: str) -> Json:
    """A class or a token, a step, phases. A step that is missing is read as 0."""
    integers(value, path)
    require(bool(value), "wrong-type", path)
    integer(1, 1 << 8192)((*value, 0)[1], f"{path}[1]")
    return value


def precisions(value: Json, path: str) -> Json:
    list_of(bits)(value, path)
    require(1 <= len(value) <= 8, "out-of-range", path)
    require(all(a < b for a, b in pairwise(value)), "not-increasing", path)
    return value


projector = record({"onto": matrix, "along": matrix, "exponent": exponent})
peels = list_of(projector)
part = record({"token": integer(), "above": list_of(counted), "below": list_of(counted)})
block = record({"queries": integer(), "classes": list_of(class_of), "parts": list_of(part)})
separable_group = record({"m": integer(), "pools": integers, "classes": list_of(class_of), "blocks": list_of(block)})
region_hints = list_of(list_of(integers))
size = integer(0, 1 << 1024)


class Rule(NamedTuple):
    """Kinds of premises (one, or several of one kind), readers of arguments, and the kind that it concludes."""

    premises: tuple[str, ...]
    args: dict[str, Reader]
    concludes: str
    derive: Callable[[Setting, list[Stated], dict[str, Any]], Any]
    several: bool = False
    any_problem: bool = False  # or max-of-k alone
    any_margins: bool = False  # of the premises, or that of the step


RULES = {
    "direct_path_upper": Rule((), {"exponent": exponent}, "DirectPathUpper", paths_of_one_head.direct_path_upper),
    "value_path_upper": Rule((), {}, "ValuePathUpper", paths_of_one_head.value_path_upper),
    "pure_sequences": Rule((), {"exponent": exponent, "bits": bits}, "Tally", sequences.pure_sequences),
    "cubic_tokens": Rule(("DirectPathUpper", "ValuePathUpper"), {"bits": bits}, "CubicTokens", cubic.cubic_tokens),
    "count_cubic": Rule(("CubicTokens",), {}, "Tally", sequences.count_cubic),
    "enumerate_sequences": Rule((), {"exponent": exponent, "bits": bits}, "Tally", sequences.enumerate_sequences),
    "direct_path_spread": Rule((), {}, "DirectPathSpread", paths_of_one_head.direct_path_spread),
    "direct_path_centred_spread": Rule(
        (), {"centre": table}, "DirectPathSpread", paths_of_one_head.direct_path_centred_spread
    ),
    "value_path_spread": Rule((), {}, "ValuePathSpread", paths_of_one_head.value_path_spread),
    "max_token_drop": Rule(("DirectPathSpread",), {}, "MaxTokenPath", paths_of_one_head.max_token_drop),
    "max_token_mean": Rule(("DirectPathSpread",), {"centres": table}, "MaxTokenPath", paths_of_one_head.max_token_mean),
    "max_token_envelope": Rule(("DirectPathSpread",), {}, "MaxTokenPath", paths_of_one_head.max_token_envelope),
    "score_exact": Rule((), {}, "ScoreApproximation", scores.score_exact),
    "score_residual_spread": Rule((), {"peels": peels}, "ScoreApproximation", scores.score_residual_spread),
    "score_product_spread": Rule(
        (),
        {"peels": peels, "bases": list_of(projector), "means": integer(0, 1)},
        "ScoreApproximation",
        scores.score_product_spread,
    ),
    "score_recursive_spread": Rule(
        (), {"peels": peels, "means": integer(0, 3)}, "ScoreApproximation", scores.score_recursive_spread
    ),
    "score_singular_value": Rule(
        (),
        {
            "peels": peels,
            "sigma": size,
            "exponent": exponent,
            "ridge": size,
            "ridge_exponent": exponent,
            "witness": matrix,
        },
        "ScoreApproximation",
        scores.score_singular_value,
    ),
    "attention_ranges": Rule(
        ("ScoreApproximation",),
        {"bits": bits, "gaps": list_of(list_of(integers))},
        "AttentionRanges",
        gaps.attention_ranges,
    ),
    "gap_cells": Rule(("AttentionRanges", "MaxTokenPath", "ValuePathSpread"), {}, "Tally", gaps.gap_cells),
    "separable_counts": Rule(
        ("ScoreApproximation",),
        {"exponent": exponent, "bits": bits, "groups": list_of(separable_group)},
        "Tally",
        separable.separable_counts,
    ),
    "branch_sequences": Rule(
        (), {"exponent": exponent, "bits": bits, "queries": integers}, "Tally", sequences.branch_sequences
    ),
    "regions": Rule(
        (),
        {"bits": bits, "groups": list_of(group), "hints": region_hints},
        "Regions",
        layer_rules.regions,
        any_problem=True,
    ),
    "region_gaps": Rule(("Regions",), {"hints": region_hints}, "RegionGaps", layer_rules.region_gaps, any_problem=True),
    "region_counts": Rule(
        ("RegionGaps",), {"hints": region_hints}, "Tally", layer_rules.region_counts, any_problem=True
    ),
    "total": Rule(("Tally",), {}, "Accuracy", any_problem_rules.total, several=True, any_problem=True),
    "evaluate_inputs": Rule((), {"bits": precisions}, "Tally", any_problem_rules.evaluate_inputs, any_problem=True),
    "expected_loss": Rule(
        ("Accuracy",),
        {"bits": bits, "losses": integers},
        "Profile",
        any_problem_rules.expected_loss,
        several=True,
        any_problem=True,
        any_margins=True,
    ),
    "float32_any_order": Rule(
        ("Accuracy",),
        {},
        "Float32Accuracy",
        float32.float32_any_order,
        several=True,
        any_problem=True,
        any_margins=True,
    ),
    "float32_inputs": Rule(
        (), {"bits": precisions}, "Float32Accuracy", float32_inputs.float32_inputs, any_problem=True
    ),
}
