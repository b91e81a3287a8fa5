"""The logits of wrong tokens as lines in the attention on the maximum: exact, with and without a centre."""

from fractions import Fraction

import numpy as np

from checker.facts import DirectPathSpread, UpperTable
from checker.lemmas.wrong_token_lines import wrong_token_lines
from tests.support.derivations import Derivation
from tests.support.one_rule import drawn


def test_lines_of_every_wrong_token() -> None:
    for seed in range(16):
        meaning = drawn(seed).meaning
        problem = Derivation(drawn(seed).path).problem
        d = len(meaning.W["W_E"][0])
        rows: list[tuple[int, ...]] = [tuple(range(seed % 3, seed % 3 + d))] if seed % 2 else []
        direct = DirectPathSpread(UpperTable(-1, tuple(rows)), UpperTable(0, ((0,) * meaning.v,)))
        kept = meaning.constant * 0
        if rows:
            kept = np.array([Fraction(x, 2) for x in rows[0]], dtype=object) @ meaning.W["W_U"] + meaning.constant
        lines, exponent = wrong_token_lines(problem, direct)
        unit = Fraction(2) ** exponent
        for m, found in enumerate(lines):
            worst = meaning.positions(m) + kept - kept[m]
            expected = [(meaning.EVOU[m, y] - meaning.EVOU[m, m], worst[y]) for y in range(meaning.v) if y != m]
            assert [(slope * unit, base * unit) for slope, base in found] == expected, seed
