"""What a tensor's name says of a model that the theory does not cover."""

import re

# The first pattern that matches a tensor's name says why there is no room for it.
_REFUSALS = tuple(
    (re.compile(pattern, re.I), reason)
    for pattern, reason in (
        (r"rotary|(^|\.)rope\b|inv_freq$", "it belongs to a rotary position embedding, and positions must be learned"),
        (
            r"(rel_pos|relative_attention|relative_position)\w*|\.alibi\b",
            "it is an attention bias by relative position, and positions must be learned",
        ),
        (r"(token_type|segment)_embed", "it is a second embedding, and a token has one"),
        (r"\._(W|b)_[KV]$", "it belongs to grouped key and value heads, and every head must have its own"),
        (r"(^|\.)parametrizations\.", "it parametrizes a weight, and the weight itself must be stored"),
        (r"(^|\.)\w*lora_\w+", "it belongs to a low-rank update, and the sum must be stored"),
        (r"(^|\.)(multihead_attn|cross_?att(n|ention)|encoder_attn)\.", "it belongs to cross attention"),
        (r"(^|\.)(experts?|router|moe)\b", "it belongs to a mixture of experts"),
        (r"(^|\.)(W_gate|gate_proj|gate_up_proj|gate)\b", "it belongs to a gated MLP"),
        (r"\bsinks?$", "it belongs to attention sinks, and attention must sum to 1 over the tokens"),
        (r"\.bias_[kv]$", "it is a key or a value beside those of the tokens"),
        (r"\.[qkv]_proj_weight$", "keys or values have another width than queries"),
        (r"rms_?norm", "it belongs to RMSNorm, and only LayerNorm is covered"),
        (r"(^|\.)[qk]_(layer_?)?norm\.", "it belongs to a normalisation of queries or keys"),
        (r"(^|\.)\w*emb\w*\.(layer_?norm|norm|ln)\.", "it belongs to a LayerNorm of the embedding"),
        (r"(^|\.)(ln\d?_post|post_\w+_layernorm)\.", "it belongs to a second LayerNorm beside the one in a block"),
        (r"(^|\.)mlp\.ln\.", "it belongs to a LayerNorm inside the MLP"),
        (r"\.running_(mean|var)$", "it belongs to BatchNorm, and only LayerNorm is covered"),
        (r"(^|\.)conv\w*\.", "it belongs to a convolution"),
    )
)
# What a name is a part of, wherever it is found; the first pattern that matches.
_PARTS = tuple(
    (re.compile(pattern, re.I), part)
    for pattern, part in (
        (r"(^|\.)(mlp\w*|ffn?|feed_?forward)\.", "an MLP"),
        (r"(^|\.)(ln\w*|\w+_ln|norm\d*|layer_?norm\w*)\.", "a LayerNorm"),
        (r"(^|\.)(attn|attention)\.", "attention"),
        (r"(^|\.)(blocks|layers?|resblocks|h|heads?)\.\d+\.", "a layer or head"),
    )
)


def refusal(name: str) -> str:
    """Why the theory has no room for a tensor of this name; empty if its name does not tell."""
    return next((reason for pattern, reason in _REFUSALS if pattern.search(name)), "")


def part(name: str) -> str:
    """What a tensor of this name belongs to in a transformer; empty if its name looks like none of it."""
    return next((part for pattern, part in _PARTS if pattern.search(name)), "")
