"""Models of two positions: the first is read, and the second, of which it sees nothing, is no number in float32: the
LayerNorm of a constant, or what comes of a score that is too large."""

from typing import Any

from tests.support.any_case import Case
from tests.support.any_model import architecture, zeros

SIZES = {"d_vocab": 2, "n_ctx": 2, "n_heads": 1, "d_head": 1, "d_model": 2, "d_vocab_out": 2, "d_mlp": 1}
READ_FIRST: dict[str, Any] = {
    "inputs": [{"tokens": [0]}, {"tokens": [0, 1]}],
    "label": {"name": "contains", "token": 0},
    "readout": 0,
}


def case(given: dict[str, Any], **tensors: Any) -> Case:
    entry = architecture(**given)
    return Case(zeros(entry, SIZES, **tensors), entry, READ_FIRST)


UNSEEN = {
    "LayerNorm of a constant": case(
        {"blocks": 1, "mask": "causal", "normalization": "LNPre", "norms": ["pre"], "eps": "0"},
        W_E=[[1, 0], [0, 0]],
        W_U=[[-1, 1], [0, 0]],
    ),
    "a score that overflows": case(
        {"blocks": 3, "mask": "causal"},
        W_E=[[0, 0], [0, 2.0**23]],
        b_U=[-1, 1],
        blocks_0_attn_W_V=[0, 2.0**10],
        blocks_0_attn_W_O=[0, 2.0**11],
        blocks_1_attn_W_Q=[0, 2.0**21],
        blocks_1_attn_W_K=[0, 2.0**21],
    ),
}
