"""What a model computes beside its weights: everything that is part of the function and not in a tensor."""

from __future__ import annotations

import json
from fractions import Fraction
from math import gcd
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Axes: TypeAlias = tuple[str, ...]
Activation: TypeAlias = Literal["none", "relu", "silu", "gelu_tanh", "gelu_erf"]
Norm: TypeAlias = Literal["pre", "post", "final"]
ExactText: TypeAlias = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,999})(/[1-9][0-9]{0,999})?$")]

_NORMS: tuple[Norm, ...] = ("pre", "post", "final")


class Architecture(BaseModel):
    """The fields of the entry `architecture` of a model file; schemas/CERTIFICATE.md says what function they make.

    `attn_scale_squared` and `eps` are exact fractions as text; scores are divided by the square root of the former.
    ValidationError when a field is missing, unknown or out of range, or when two contradict each other.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    blocks: Annotated[int, Field(ge=0, le=64)]
    heads: Annotated[int, Field(ge=1, le=1024)]
    mask: Literal["causal", "full"]
    attn_scale_squared: ExactText
    activation: Activation
    normalization: Literal["none", "LN", "LNPre"]
    norms: tuple[Norm, ...]
    eps: ExactText
    pool: Literal["none", "sum", "mean"]
    readout_layers: Annotated[int, Field(ge=0, le=16)]

    @field_validator("attn_scale_squared", "eps")
    @classmethod
    def _lowest_terms(cls, text: str) -> str:
        over, _, under = text.partition("/")
        if under and (under == "1" or gcd(int(over), int(under)) > 1):
            raise ValueError(f"write it in lowest terms, as {Fraction(text)}")
        return text

    @field_validator("norms", mode="before")
    @classmethod
    def _sequence(cls, norms: object) -> object:
        return tuple(norms) if isinstance(norms, list) else norms

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.attn_scale_squared == "0":
            raise ValueError("attn_scale_squared must be positive")
        if self.norms != tuple(norm for norm in _NORMS if norm in self.norms):
            raise ValueError("norms must be some of pre, post, final, in this order")
        if {"pre", "post"} <= set(self.norms):
            raise ValueError("norms must not be both pre and post")
        if (self.normalization == "none") != (not self.norms):
            raise ValueError("norms must be empty if normalization is none, and only then")
        if self.normalization == "none" and self.eps != "0":
            raise ValueError("eps must be 0 if normalization is none")
        return self

    @classmethod
    def default(cls, d_head: int) -> Self:
        """The architecture of a file that has no entry: one block, one causal head, attention only."""
        return cls(
            blocks=1,
            heads=1,
            mask="causal",
            attn_scale_squared=str(d_head),
            activation="none",
            normalization="none",
            norms=(),
            eps="0",
            pool="none",
            readout_layers=0,
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The architecture in the entry of a model file; ValueError, in one line, unless it is canonical."""
        try:
            architecture = cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(": ".join([*map(str, first["loc"]), first["msg"]])) from None
        if architecture.canonical() != text:
            raise ValueError("it is not canonical JSON: keys sorted, each once, no spaces")
        return architecture

    def canonical(self) -> str:
        """The text of the entry in a model file."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def brief(self) -> str:
        """What the verdict line says, such as 1L4H-attn-only or 2L2H-relu-LN-full-sum."""
        parts = [f"{self.blocks}L{self.heads}H", "attn-only" if self.activation == "none" else self.activation]
        if self.normalization != "none":
            parts.append(("post" if "post" in self.norms else "") + self.normalization)
        parts += ["full"] if self.mask == "full" else []
        parts += [self.pool] if self.pool != "none" else []
        return "-".join(parts)

    def tensor_shapes(self) -> dict[str, Axes]:
        """The tensors of a file with this entry, and the names of their axes.

        The order matters: a size is fixed by the first tensor that has it, and every later tensor must agree.
        """
        shapes: dict[str, Axes] = {"embed.W_E": ("d_vocab", "d_model"), "pos_embed.W_pos": ("n_ctx", "d_model")}
        ln = self.normalization == "LN"
        for block in range(self.blocks):
            attention = f"blocks.{block}.attn"
            shapes |= {f"{attention}.W_{letter}": ("n_heads", "d_model", "d_head") for letter in "QKV"}
            shapes[f"{attention}.W_O"] = ("n_heads", "d_head", "d_model")
            shapes |= {f"{attention}.b_{letter}": ("n_heads", "d_head") for letter in "QKV"}
            shapes[f"{attention}.b_O"] = ("d_model",)
            if self.activation != "none":
                shapes[f"blocks.{block}.mlp.W_in"] = ("d_model", "d_mlp")
                shapes[f"blocks.{block}.mlp.b_in"] = ("d_mlp",)
                shapes[f"blocks.{block}.mlp.W_out"] = ("d_mlp", "d_model")
                shapes[f"blocks.{block}.mlp.b_out"] = ("d_model",)
            if ln and {"pre", "post"} & set(self.norms):
                for norm in ("ln1", "ln2") if self.activation != "none" else ("ln1",):
                    shapes |= {f"blocks.{block}.{norm}.{letter}": ("d_model",) for letter in "wb"}
        if ln and "final" in self.norms:
            shapes |= {f"ln_final.{letter}": ("d_model",) for letter in "wb"}
        width = "d_model"
        for layer in range(self.readout_layers):
            wider = f"d_readout_{layer}"
            shapes |= {f"readout.{layer}.W": (width, wider), f"readout.{layer}.b": (wider,)}
            width = wider
        return {**shapes, "unembed.W_U": (width, "d_vocab_out"), "unembed.b_U": ("d_vocab_out",)}
