"""The architecture of a checkpoint: from its tensors, its settings and its recipe, and from what the user says.

What only the recipe says is an assumption.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from certgen.errors import UserError
from certgen.models.architecture import Architecture, Norm
from certgen.models.checkpoints import StoredArray
from certgen.models.configuration import (
    CAPS,
    GLOBAL,
    NORM,
    POSITIONS,
    Statement,
    Value,
    activation_of,
    confirmed,
    is_causal,
    value_of,
)
from certgen.models.layouts import Fit, masks
from certgen.models.placing import Sizes
from certgen.models.recipe import exact_number, squared_scale

# What --set can say, and which settings of a checkpoint it replaces.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "heads": ("n_heads",),
    "mask": ("attention_dir", "causal"),
    "attn_scale": ("attn_scale", "use_attn_scale"),
    "activation": ("act_fn",),
    "normalization": ("normalization_type",),
    "norms": ("norm_first",),
    "eps": ("eps",),
    "pool": ("pool",),
    "positions": (),
}


@dataclass
class Settled:
    """The architecture, and what had to be assumed about it, in words."""

    architecture: Architecture
    assumed: list[str] = field(default_factory=list)


def read_options(given: Iterable[str]) -> dict[str, str]:
    """What --set says, by name; UserError for a name that there is not, or twice."""
    options: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in OPTIONS:
            raise UserError(f"{text!r} sets nothing", f"write NAME=VALUE with a name of {', '.join(OPTIONS)}")
        if name in options:
            raise UserError(f"{name} is set twice", "keep one of them")
        options[name] = value
    if options.get("positions", "none") != "none":
        raise UserError(
            f"positions={options['positions']} is set", "learned ones are found; positions=none says no others"
        )
    return options


def not_overruled(given: Iterable[Statement], options: Mapping[str, str]) -> list[Statement]:
    """The settings that --set leaves in force; with positions=none those that agree are no contradiction."""
    replaced = {key for name in options for key in OPTIONS[name]}
    agree = "positions" in options
    return [
        each
        for each in given
        if each.key not in replaced and not (agree and each.key == "positional_embedding_type" and not each.value)
    ]


def heads(fit: Fit, sizes: Sizes, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[int, bool]:
    """The number of heads, and whether it is only assumed; UserError when nothing tells it."""
    if "n_heads" in sizes.known:
        return sizes.known["n_heads"], False
    said: Value | str = options.get("heads", value_of(given, "n_heads"))
    try:
        number = int(said) if said is not None and not isinstance(said, bool) else 0
    except (ValueError, TypeError, OverflowError):
        number = 0
    if said is not None and (not 1 <= number <= 1024 or (isinstance(said, float) and said != number)):
        raise UserError(f"heads is {said!r}", "it must be a number from 1 to 1024")
    if number:
        return number, False
    if fit.recipe.architecture.heads is None:
        message = f"neither the tensors nor their recipe, {fit.recipe.name}, tell the number of heads"
        raise UserError(message, "say it: --set heads=N")
    return fit.recipe.architecture.heads, True


def settle(
    fit: Fit, sizes: Sizes, k: int, given: Sequence[Statement], options: Mapping[str, str], assumed_heads: bool
) -> Settled:
    """The architecture of the model that `fit` has found, run on `k` positions."""
    known = confirmed(given)
    number = sizes.known["n_heads"]
    if options.get("heads", str(number)) != str(number):
        raise UserError(f"heads={options['heads']} is set, and the tensors have {number}", "leave it out")
    scale, scale_words = _scale(fit, sizes, given, options)
    normalization, norm_words = _normalization(fit, given, options)
    norms, norms_words = _norms(fit, normalization, given, options)
    eps, eps_words = _eps(fit, normalization, given, options)
    activation, activation_words = _activation(fit, given, options)
    mask, mask_words = _mask(fit, sizes.known["n_ctx"], k, given, options)
    pool, pool_words = _pool(fit, given, options)
    fields = {
        "blocks": fit.blocks,
        "heads": number,
        "mask": mask,
        "attn_scale_squared": str(scale),
        "activation": activation,
        "normalization": normalization,
        "norms": norms,
        "eps": str(eps),
        "pool": pool,
        "readout_layers": fit.recipe.readout_layers,
    }
    try:
        architecture = Architecture.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        message = f"{name}: {first['msg']}" if name else first["msg"]
        raise UserError(f"the model is not covered: {message}", "look at what was set, and at the recipe") from None
    if architecture == Architecture.default(sizes.known["d_head"]) and pool_words:
        pool_words = "answer at the last position"
    assumed = [scale_words, "" if NORM in known else norm_words, norms_words, eps_words, pool_words]
    known |= {POSITIONS} if "positions" in options else set()
    assumed += [each for each in (POSITIONS, CAPS) if each not in known]
    has_mask = any(array.entries for array in masks(fit).values())
    assumed += [] if GLOBAL in known or has_mask else [GLOBAL]
    assumed += ["one head" if number == 1 else f"{number} heads"] if assumed_heads else []
    assumed += [mask_words, activation_words]
    return Settled(architecture, [each for each in assumed if each])


def _unsaid(what: str, fit: Fit, example: str) -> UserError:
    return UserError(
        f"nothing says {what}, neither the checkpoint nor the recipe {fit.recipe.name}", f"say it: --set {example}"
    )


def _scale(fit: Fit, sizes: Sizes, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[Fraction, str]:
    d_head = sizes.known["d_head"]
    if value_of(given, "use_attn_scale") is False and "attn_scale" not in options:
        if "use_attn_scale" in fit.recipe.doubtful:
            raise UserError(
                "use_attn_scale is False, which not every version of the program heeds",
                "say what scores are divided by: --set attn_scale=1 or --set 'attn_scale=sqrt(d_head)'",
            )
        return Fraction(1), ""
    said = value_of(given, "attn_scale")
    if "attn_scale" not in options and isinstance(said, int | float) and math.isfinite(said) and said > 0:
        root = math.sqrt(d_head)
        return Fraction(d_head) if said in (root, float(np.float32(root))) else exact_number(str(said)) ** 2, ""
    if "attn_scale" not in options and value_of(given, "use_attn_scale"):
        return Fraction(d_head), ""
    text = options.get("attn_scale", fit.recipe.architecture.attn_scale)
    if text is None:
        raise _unsaid("what scores are divided by", fit, "'attn_scale=sqrt(d_head)'")
    try:
        return squared_scale(text, sizes.known), "" if "attn_scale" in options else f"scores / {text}"
    except ValueError as error:
        hint = "write a positive number, or sqrt(d_head)"
        raise UserError(f"attn_scale is {text!r}: {error}", hint) from None


def _normalization(fit: Fit, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[str, str]:
    said, value = options.get("normalization"), value_of(given, "normalization_type")
    if fit.has_block_norms or fit.has_final_norm:
        if said not in (None, "LN"):
            raise UserError(f"normalization={said} is set, and the tensors have weights of LayerNorm", "leave it out")
        bare = [name for name in fit.tensors if name.endswith(".w") and f"{name[:-1]}b" not in fit.tensors]
        named = isinstance(value, str) and value.lower() in ("ln", "layernorm", "layer_norm")
        if bare and said is None and not named:
            raise UserError(
                f"{fit.tensors[bare[0]].names[0]} has no bias beside it, as in RMSNorm, which is not covered",
                "if it is a LayerNorm without bias, say so: --set normalization=LN",
            )
        return "LN", ""
    if said is not None:
        if said == "LN":
            raise UserError("normalization=LN is set, and the tensors have no weights of LayerNorm", "LNPre has none")
        return said, ""
    if str(value).lower() == "lnpre":
        return "LNPre", ""
    return "none", NORM


def _norms(
    fit: Fit, normalization: str, given: Sequence[Statement], options: Mapping[str, str]
) -> tuple[tuple[Norm, ...], str]:
    """Where LayerNorm stands; its weights tell whether it is in the blocks and at the end."""
    if normalization == "none":
        if options.get("norms"):
            raise UserError("norms are set, and the model has no LayerNorm", "set normalization as well: LN or LNPre")
        return (), ""
    named: dict[str, Norm] = {"pre": "pre", "post": "post", "final": "final"}
    texts = [each for each in options.get("norms", "").replace(",", " ").split() if each]
    if any(each not in named for each in texts):
        raise UserError(f"norms={options['norms']} is set", "write some of pre, post and final, with commas")
    first = value_of(given, "norm_first")
    if texts:
        places: tuple[Norm, ...] | None = tuple(named[each] for each in texts)
    elif first is not None:
        places = ("pre" if first else "post", "final")
    else:
        places = fit.recipe.architecture.norms
    if normalization == "LNPre":
        if places is None:
            raise _unsaid("where LayerNorm stands", fit, "norms=pre,final")
        return places, "" if texts or first is not None else f"LayerNorm {_where(places)}"
    final: tuple[Norm, ...] = ("final",) if fit.has_final_norm else ()
    if not fit.has_block_norms:
        return final, ""
    inside: tuple[Norm, ...] = tuple(each for each in places or () if each != "final")
    if len(inside) != 1:
        raise _unsaid("whether LayerNorm stands before or after attention and MLP", fit, "norms=pre")
    if "final" in texts and not final:
        raise UserError("norms=final is set, and the tensors have no weights of it", "leave it out")
    return (*inside, *final), "" if texts or first is not None else f"LayerNorm {_where(inside)}"


def _where(norms: Iterable[str]) -> str:
    words = {"pre": "before attention and MLP", "post": "after attention and MLP", "final": "at the end"}
    return " and ".join(words[norm] for norm in norms)


def _eps(fit: Fit, normalization: str, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[Fraction, str]:
    if normalization == "none":
        if "eps" in options:
            raise UserError("eps is set, and the model has no LayerNorm", "leave it out")
        return Fraction(0), ""
    said = options.get("eps", value_of(given, "eps"))
    text = fit.recipe.architecture.eps if said is None else str(said)
    if text is None:
        raise _unsaid("the eps of LayerNorm", fit, "eps=1e-5")
    try:
        eps = exact_number(text)
        if eps < 0:
            raise ValueError("it is negative")
    except ValueError as error:
        raise UserError(f"eps is {text!r}: {error}", "write a number such as 1e-5") from None
    return eps, f"eps = {text}" if said is None else ""


def _activation(fit: Fit, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[str, str]:
    if not fit.has_mlp:
        if options.get("activation", "none") != "none":
            raise UserError("an activation is set, and the tensors have no MLP", "leave it out")
        return "none", ""
    if "activation" in options:
        return options["activation"], ""
    said = value_of(given, "act_fn")
    if said is not None:
        return activation_of(said) or "relu", ""  # one that is not covered is a contradiction, and refused as such
    found = fit.recipe.architecture.activation
    if found is None:
        raise _unsaid("the activation of the MLP", fit, "activation=relu")
    return found, f"activation {found}"


def _pool(fit: Fit, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[str, str]:
    if "pool" in options:
        return options["pool"], ""
    said = value_of(given, "pool")
    if said is not None:
        return str(said) if said in ("sum", "mean") else "none", ""
    found = fit.recipe.architecture.pool
    if found is None:
        raise _unsaid("where the answer is read", fit, "pool=none")
    return found, "the answer is read at one position" if found == "none" else f"{found} over positions"


def _mask(fit: Fit, n_ctx: int, k: int, given: Sequence[Statement], options: Mapping[str, str]) -> tuple[Any, str]:
    if "mask" in options:
        return options["mask"], ""
    causal = is_causal(given)
    said = None if causal is None else "causal" if causal else "full"
    if fit.recipe.local_mask is not None and said == "full":
        return "full", ""  # the mask is not used
    stored = {_stored_mask(name, array, n_ctx, k) for name, array in masks(fit).items() if array.entries}
    stored -= {"any", *(["causal"] if fit.recipe.local_mask is not None else [])}
    if len(stored | ({said} if said else set())) > 1:
        found = " and ".join(sorted(stored | ({said} if said else set())))
        raise UserError(f"masks and settings disagree: {found}", "say which is right: --set mask=causal or mask=full")
    if stored or said:
        return next(iter(stored), said), ""
    found_mask = fit.recipe.architecture.mask
    if found_mask is None:
        raise _unsaid("what a position sees", fit, "mask=causal")
    return found_mask, f"{found_mask} mask"


def _stored_mask(name: str, mask: StoredArray, n_ctx: int, k: int) -> Literal["causal", "full", "any"]:
    """What a mask says for the first k positions; with one position it may be either."""
    if mask.shape[-2:] != (n_ctx, n_ctx) or mask.entries != n_ctx**2:
        raise UserError(
            f"{name} has shape {list(mask.shape)}; expected [{n_ctx}, {n_ctx}]", "remove it if it is unused"
        )
    values = mask.read().reshape(n_ctx, n_ctx)
    if not ((values == 0) | (values == 1)).all():
        raise UserError(
            f"{name} has entries other than 0 and 1", "store True where a position sees another, or remove the mask"
        )
    used = values[:k, :k].astype(bool)
    if not used[np.tril_indices(k)].all():
        raise UserError(
            f"{name} hides earlier positions from a later one (local attention)",
            "the theory needs every position to attend to every earlier one",
        )
    if k == 1:
        return "any"
    later = used[np.triu_indices(k, 1)]
    if later.any() and not later.all():
        raise UserError(f"{name} shows some later positions and hides others", "covered are causal and full masks")
    return "full" if later.any() else "causal"
