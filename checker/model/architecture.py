"""The architecture: what is part of a model's function and cannot be read off its tensors.

It stands in the metadata of the model file, as canonical JSON. The function itself is in CERTIFICATE.md and forward.py.
"""

import json
from typing import Any, NamedTuple

from checker.decode import Decoder, array, bounded, choice, fraction, load_json, record
from checker.errors import Malformed, located

ENTRY = "architecture"  # its key in the metadata
Fraction = tuple[int, int]


class Architecture(NamedTuple):
    """Fields and values of the JSON object. A fraction is a numerator and a positive denominator."""

    activation: str
    attn_scale_squared: Fraction
    blocks: int
    eps: Fraction
    heads: int
    mask: str
    normalization: str
    norms: tuple[str, ...]
    pool: str
    readout_layers: int

    @property
    def has_mlp(self) -> bool:
        """Whether the blocks have an MLP."""
        return self.activation != "none"

    @property
    def brief(self) -> str:
        """Such as 1L4H-attn-only, 2L2H-relu-sum or 2L2H-gelu_tanh-LN-full."""
        parts = [self.activation if self.has_mlp else "attn-only"]
        parts += ["post" * ("post" in self.norms) + self.normalization] * bool(self.norms)
        parts += ["full"] * (self.mask == "full") + [self.pool] * (self.pool != "none")
        return f"{self.blocks}L{self.heads}H-{'-'.join(parts)}"


FIELDS: dict[str, Decoder[Any]] = {
    "activation": choice("none", "relu", "silu", "gelu_tanh", "gelu_erf"),
    "attn_scale_squared": fraction,
    "blocks": bounded(0, 64),
    "eps": fraction,
    "heads": bounded(1, 1024),
    "mask": choice("causal", "full"),
    "normalization": choice("none", "LN", "LNPre"),
    "norms": lambda value, path: array(value, path, choice("pre", "post", "final")),
    "pool": choice("none", "sum", "mean"),
    "readout_layers": bounded(0, 16),
}
PLACES = ((), ("pre",), ("post",), ("final",), ("pre", "final"), ("post", "final"))


def decode_architecture(text: str) -> Architecture:
    """The architecture in the metadata, strictly."""
    with located(f"__metadata__.{ENTRY}"):
        value = load_json(text.encode())
        fields = record(value, "", Architecture._fields)
        if json.dumps(value, sort_keys=True, separators=(",", ":")) != text:
            raise Malformed("not-canonical", "", "sorted keys and no white space")
        architecture = Architecture(**{name: decode(fields[name], name) for name, decode in FIELDS.items()})
        if architecture.attn_scale_squared[0] == 0:
            raise Malformed("out-of-range", "attn_scale_squared", "a positive fraction")
        normed = architecture.normalization != "none"
        if architecture.norms not in PLACES or normed != bool(architecture.norms):
            raise Malformed("unsupported", "norms", "pre or post, final, or both; none without normalization")
        if not architecture.norms and architecture.eps[0]:
            raise Malformed("unsupported", "eps", "0 without normalization")
        return architecture


def one_head(d_head: int) -> Architecture:
    """What a file without the entry stands for: one attention-only block with one head."""
    return Architecture("none", (d_head, 1), 1, (0, 1), 1, "causal", "none", (), "none", 0)


def tensor_axes(architecture: Architecture | None) -> dict[str, tuple[str, ...]]:
    """Tensor name -> the names of its axes; of a file without an architecture if it is None."""
    wanted = architecture or one_head(1)
    bias = ("d_model",)
    axes: dict[str, tuple[str, ...]] = {"embed.W_E": ("d_vocab", "d_model"), "pos_embed.W_pos": ("n_ctx", "d_model")}
    for block in [f"blocks.{index}" for index in range(wanted.blocks)]:
        axes |= {f"{block}.attn.W_{name}": ("n_heads", "d_model", "d_head") for name in "QKV"}
        axes[f"{block}.attn.W_O"] = ("n_heads", "d_head", "d_model")
        axes |= {f"{block}.attn.b_{name}": ("n_heads", "d_head") for name in "QKV"}
        axes[f"{block}.attn.b_O"] = bias
        norms = [f"{block}.ln1"] * bool({"pre", "post"} & set(wanted.norms))
        if wanted.has_mlp:
            axes |= {f"{block}.mlp.W_in": ("d_model", "d_mlp"), f"{block}.mlp.b_in": ("d_mlp",)}
            axes |= {f"{block}.mlp.W_out": ("d_mlp", "d_model"), f"{block}.mlp.b_out": bias}
            norms += [f"{block}.ln2"] * len(norms)
        axes |= {f"{norm}.{part}": bias for norm in norms for part in "wb" if wanted.normalization == "LN"}
    if "final" in wanted.norms and wanted.normalization == "LN":
        axes |= {"ln_final.w": bias, "ln_final.b": bias}
    width = "d_model"
    for index in range(wanted.readout_layers):
        axes[f"readout.{index}.W"] = (width, f"d_readout_{index}")
        axes[f"readout.{index}.b"] = (width := f"d_readout_{index}",)
    out = "d_vocab_out" if architecture else "d_vocab"
    return axes | {"unembed.W_U": (width, out), "unembed.b_U": (out,)}
