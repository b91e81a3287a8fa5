"""The table of rules. Each is a pure function in the file of its name; its soundness proof is in docs/rules.md."""

from checker.judgement import Accuracy, CubicTokens, DirectPathUpper, Tally, ValuePathUpper
from checker.rules import (
    count_cubic,
    cubic_tokens,
    direct_path_upper,
    enumerate_sequences,
    pure_sequences,
    total,
    value_path_upper,
)
from checker.rules.rule import LANE_ARGS, WEIGHT_ARGS, Rule

RULES = {
    "direct_path_upper": Rule(direct_path_upper.direct_path_upper, (), {}, DirectPathUpper),
    "value_path_upper": Rule(value_path_upper.value_path_upper, (), {}, ValuePathUpper),
    "pure_sequences": Rule(pure_sequences.pure_sequences, (), LANE_ARGS, Tally),
    "cubic_tokens": Rule(cubic_tokens.cubic_tokens, (DirectPathUpper, ValuePathUpper), WEIGHT_ARGS, CubicTokens),
    "count_cubic": Rule(count_cubic.count_cubic, (CubicTokens,), {}, Tally),
    "enumerate_sequences": Rule(enumerate_sequences.enumerate_sequences, (), LANE_ARGS, Tally),
    "total": Rule(total.total, (Tally,), {}, Accuracy, repeat=True),
}
