"""Section 2: the architecture, and the tensors that it has."""

from typing import Any

from tests.second_verifier.refusal import require
from tests.second_verifier.strict_json import Json, Reader, canonical, fraction, integer, parse, record, text

Axes = dict[str, tuple[str, ...]]
NORMS: list[list[str]] = [["pre"], ["post"], ["final"], ["pre", "final"], ["post", "final"]]


def one_of(*values: str) -> Reader:
    def read(value: Json, path: str) -> Json:
        text(value, path)
        require(value in values, "unsupported", path)
        return value

    return read


def anything(value: Json, path: str) -> Json:
    return value


FIELDS = {
    "activation": one_of("none", "relu", "silu", "gelu_tanh", "gelu_erf"),
    "attn_scale_squared": fraction(signed=False),
    "blocks": integer(0, 64),
    "heads": integer(1, 1024),
    "eps": fraction(signed=False),
    "mask": one_of("causal", "full"),
    "normalization": one_of("none", "LN", "LNPre"),
    "norms": anything,
    "pool": one_of("none", "sum", "mean"),
    "readout_layers": integer(0, 16),
}


def read_architecture(entry: str) -> dict[str, Any]:
    """The entry of the metadata."""
    given: dict[str, Any] = record(FIELDS)(parse(entry.encode("utf-8", "surrogatepass")), "architecture")
    require(entry == canonical(given), "not-canonical", "architecture")
    without = given["normalization"] == "none"
    require(given["norms"] == [] if without else given["norms"] in NORMS, "unsupported", "architecture.norms")
    require(not without or given["eps"] == "0", "unsupported", "architecture.eps")
    require(given["attn_scale_squared"] != "0", "out-of-range", "architecture.attn_scale_squared")
    return given


def of_one_head(d_head: int) -> dict[str, Any]:
    """What a file without an architecture stands for."""
    return {
        "activation": "none",
        "attn_scale_squared": str(d_head),
        "blocks": 1,
        "heads": 1,
        "eps": "0",
        "mask": "causal",
        "normalization": "none",
        "norms": [],
        "pool": "none",
        "readout_layers": 0,
    }


def axes_of(given: dict[str, Any] | None) -> Axes:
    """Each tensor and its axes; None is a file without an architecture."""
    a = given or of_one_head(1)
    out = "d_vocab_out" if given else "d_vocab"
    weighted = a["normalization"] == "LN"
    axes: Axes = {"embed.W_E": ("d_vocab", "d_model"), "pos_embed.W_pos": ("n_ctx", "d_model")}
    for i in range(a["blocks"]):
        for part in "QKV":
            axes[f"blocks.{i}.attn.W_{part}"] = ("n_heads", "d_model", "d_head")
            axes[f"blocks.{i}.attn.b_{part}"] = ("n_heads", "d_head")
        axes[f"blocks.{i}.attn.W_O"] = ("n_heads", "d_head", "d_model")
        axes[f"blocks.{i}.attn.b_O"] = ("d_model",)
        mlp = a["activation"] != "none"
        if mlp:
            axes[f"blocks.{i}.mlp.W_in"], axes[f"blocks.{i}.mlp.b_in"] = ("d_model", "d_mlp"), ("d_mlp",)
            axes[f"blocks.{i}.mlp.W_out"], axes[f"blocks.{i}.mlp.b_out"] = ("d_mlp", "d_model"), ("d_model",)
        if weighted and ("pre" in a["norms"] or "post" in a["norms"]):
            for norm in ("ln1", "ln2") if mlp else ("ln1",):
                axes[f"blocks.{i}.{norm}.w"] = axes[f"blocks.{i}.{norm}.b"] = ("d_model",)
    if weighted and "final" in a["norms"]:
        axes["ln_final.w"] = axes["ln_final.b"] = ("d_model",)
    width = "d_model"
    for j in range(a["readout_layers"]):
        axes[f"readout.{j}.W"], axes[f"readout.{j}.b"] = (width, f"d_readout_{j}"), (f"d_readout_{j}",)
        width = f"d_readout_{j}"
    axes["unembed.W_U"], axes["unembed.b_U"] = (width, out), (out,)
    return axes
