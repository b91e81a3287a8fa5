"""The table of rules. Each is a pure function in the file of its name; its soundness proof is in docs/rules.md."""

from checker.decode import Decoder, array, bounded, integer, matrix
from checker.facts import (
    EXPONENT,
    Accuracy,
    AttentionRanges,
    CubicTokens,
    DirectPathSpread,
    DirectPathUpper,
    Float32Accuracy,
    MaxTokenPath,
    Profile,
    RegionGaps,
    Regions,
    ScoreApproximation,
    Tally,
    UpperTable,
    ValuePathSpread,
    ValuePathUpper,
    decode_precisions,
    decode_row,
    decode_rows,
)
from checker.lemmas.groups import decode_groups
from checker.lemmas.splitting import decode_peels
from checker.problem.regions import decode_groups as decode_regions
from checker.rules.attention_ranges import attention_ranges
from checker.rules.branch_sequences import branch_sequences
from checker.rules.count_cubic import count_cubic
from checker.rules.cubic_tokens import cubic_tokens
from checker.rules.direct_path_centred_spread import direct_path_centred_spread
from checker.rules.direct_path_spread import direct_path_spread
from checker.rules.direct_path_upper import direct_path_upper
from checker.rules.enumerate_sequences import enumerate_sequences
from checker.rules.evaluate_inputs import evaluate_inputs
from checker.rules.expected_loss import expected_loss
from checker.rules.float32_any_order import float32_any_order
from checker.rules.float32_inputs import float32_inputs
from checker.rules.gap_cells import gap_cells
from checker.rules.max_token_drop import max_token_drop
from checker.rules.max_token_envelope import max_token_envelope
from checker.rules.max_token_mean import max_token_mean
from checker.rules.pure_sequences import pure_sequences
from checker.rules.region_counts import region_counts
from checker.rules.region_gaps import region_gaps
from checker.rules.regions import regions
from checker.rules.rule import LANE_ARGS, WEIGHT_ARGS, Rule
from checker.rules.score_exact import score_exact
from checker.rules.score_product_spread import score_product_spread
from checker.rules.score_recursive_spread import score_recursive_spread
from checker.rules.score_residual_spread import score_residual_spread
from checker.rules.score_singular_value import score_singular_value
from checker.rules.separable_counts import separable_counts
from checker.rules.total import total
from checker.rules.value_path_spread import value_path_spread
from checker.rules.value_path_upper import value_path_upper

PEELS: dict[str, Decoder[object]] = {"peels": decode_peels}
PRODUCT_ARGS = {**PEELS, "bases": decode_peels, "means": bounded(0, 1)}
SIZE = bounded(0, 1 << 1024)
SIGMA = {"sigma": SIZE, "exponent": EXPONENT}
SINGULAR_ARGS = {**PEELS, **SIGMA, "ridge": SIZE, "ridge_exponent": EXPONENT, "witness": matrix}
GAPS = {"gaps": lambda value, path: array(value, path, decode_rows)}
QUERIES = {"queries": lambda value, path: array(value, path, integer)}
PRECISIONS: dict[str, Decoder[object]] = {"bits": decode_precisions}
HINTS: dict[str, Decoder[object]] = {"hints": GAPS["gaps"]}
LOSSES: dict[str, Decoder[object]] = {**WEIGHT_ARGS, "losses": decode_row}
CELLS = (AttentionRanges, MaxTokenPath, ValuePathSpread)

RULES = {
    "direct_path_upper": Rule(direct_path_upper, (), {"exponent": EXPONENT}, DirectPathUpper),
    "value_path_upper": Rule(value_path_upper, (), {}, ValuePathUpper),
    "pure_sequences": Rule(pure_sequences, (), LANE_ARGS, Tally),
    "cubic_tokens": Rule(cubic_tokens, (DirectPathUpper, ValuePathUpper), WEIGHT_ARGS, CubicTokens),
    "count_cubic": Rule(count_cubic, (CubicTokens,), {}, Tally),
    "enumerate_sequences": Rule(enumerate_sequences, (), LANE_ARGS, Tally),
    "direct_path_spread": Rule(direct_path_spread, (), {}, DirectPathSpread),
    "direct_path_centred_spread": Rule(direct_path_centred_spread, (), {"centre": UpperTable.decode}, DirectPathSpread),
    "value_path_spread": Rule(value_path_spread, (), {}, ValuePathSpread),
    "max_token_drop": Rule(max_token_drop, (DirectPathSpread,), {}, MaxTokenPath),
    "max_token_mean": Rule(max_token_mean, (DirectPathSpread,), {"centres": UpperTable.decode}, MaxTokenPath),
    "max_token_envelope": Rule(max_token_envelope, (DirectPathSpread,), {}, MaxTokenPath),
    "score_exact": Rule(score_exact, (), {}, ScoreApproximation),
    "score_residual_spread": Rule(score_residual_spread, (), PEELS, ScoreApproximation),
    "score_product_spread": Rule(score_product_spread, (), PRODUCT_ARGS, ScoreApproximation),
    "score_recursive_spread": Rule(score_recursive_spread, (), {**PEELS, "means": bounded(0, 3)}, ScoreApproximation),
    "score_singular_value": Rule(score_singular_value, (), SINGULAR_ARGS, ScoreApproximation),
    "attention_ranges": Rule(attention_ranges, (ScoreApproximation,), {**WEIGHT_ARGS, **GAPS}, AttentionRanges),
    "gap_cells": Rule(gap_cells, CELLS, {}, Tally),
    "separable_counts": Rule(separable_counts, (ScoreApproximation,), {**LANE_ARGS, "groups": decode_groups}, Tally),
    "branch_sequences": Rule(branch_sequences, (), {**LANE_ARGS, **QUERIES}, Tally),
    "regions": Rule(regions, (), {**WEIGHT_ARGS, "groups": decode_regions, **HINTS}, Regions, general=True),
    "region_gaps": Rule(region_gaps, (Regions,), HINTS, RegionGaps, general=True),
    "region_counts": Rule(region_counts, (RegionGaps,), HINTS, Tally, general=True),
    "total": Rule(total, (Tally,), {}, Accuracy, repeat=True, general=True),
    "evaluate_inputs": Rule(evaluate_inputs, (), PRECISIONS, Tally, general=True),
    "expected_loss": Rule(expected_loss, (Accuracy,), LOSSES, Profile, repeat=True, general=True, ladder=True),
    "float32_any_order": Rule(
        float32_any_order, (Accuracy,), {}, Float32Accuracy, repeat=True, general=True, ladder=True
    ),
    "float32_inputs": Rule(float32_inputs, (), PRECISIONS, Float32Accuracy, general=True),
}
