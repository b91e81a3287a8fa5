"""The architecture: what is part of a model's function and cannot be read off its tensors.

It stands in the metadata of the model file, as canonical JSON. The function itself is in CERTIFICATE.md and forward.py.
"""

import json
from typing import NamedTuple

from checker.decode import array, bounded, choice, fraction, fraction_text, load_json, record
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
    def brief(self) -> str:
        """Such as 1L4H-attn-only, 2L2H-relu-sum or 2L2H-gelu_tanh-LN-full."""
        parts = ["attn-only" if self.activation == "none" else self.activation]
        parts += ["post" * ("post" in self.norms) + self.normalization] * bool(self.norms)
        parts += ["full"] * (self.mask == "full") + [self.pool] * (self.pool != "none")
        return f"{self.blocks}L{self.heads}H-{'-'.join(parts)}"

    @property
    def json(self) -> dict[str, object]:
        """The JSON object."""
        fractions = {"attn_scale_squared": self.attn_scale_squared, "eps": self.eps}
        return self._asdict() | {name: fraction_text(*value) for name, value in fractions.items()}


def decode_architecture(text: str) -> Architecture:
    """The architecture in the metadata, strictly."""
    with located(f"__metadata__.{ENTRY}"):
        value = load_json(text.encode())
        fields = record(value, "", Architecture._fields)
        if json.dumps(value, sort_keys=True, separators=(",", ":")) != text:
            raise Malformed("not-canonical", "", "sorted keys and no white space")
        architecture = Architecture(
            activation=choice("none", "relu", "silu", "gelu_tanh", "gelu_erf")(fields["activation"], "activation"),
            attn_scale_squared=fraction(fields["attn_scale_squared"], "attn_scale_squared"),
            blocks=bounded(0, 64)(fields["blocks"], "blocks"),
            eps=fraction(fields["eps"], "eps"),
            heads=bounded(1, 1024)(fields["heads"], "heads"),
            mask=choice("causal", "full")(fields["mask"], "mask"),
            normalization=choice("none", "LN", "LNPre")(fields["normalization"], "normalization"),
            norms=array(fields["norms"], "norms", choice("pre", "post", "final")),
            pool=choice("none", "sum", "mean")(fields["pool"], "pool"),
            readout_layers=bounded(0, 16)(fields["readout_layers"], "readout_layers"),
        )
        if architecture.attn_scale_squared[0] == 0:
            raise Malformed("out-of-range", "attn_scale_squared", "a positive fraction")
        placed = [("pre",), ("post",), ("final",), ("pre", "final"), ("post", "final")]
        if architecture.norms not in ([()] if architecture.normalization == "none" else placed):
            raise Malformed("unsupported", "norms", "pre or post, final, or both; none without normalization")
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
        if wanted.activation != "none":
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
