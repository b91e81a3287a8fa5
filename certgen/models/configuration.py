"""What a checkpoint's configuration says about the function, held against the function that it is imported as.

Keys are those of TransformerLens, and what other programs call the same thing.  Each is checked by itself; a key that
is not known says nothing.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from certgen.errors import UserError, a, missing_extra
from certgen.files import read_input
from certgen.models.architecture import Activation, Architecture
from certgen.models.checkpoints import MAX_TEXT, Section, StoredArray, sections
from certgen.models.recipe import exact_number

Value: TypeAlias = bool | int | float | str | None

# What is taken for granted when nothing in the file says it.
NORM = "no LayerNorm"
POSITIONS = "positions added to the residual stream"
CAPS = "no soft caps"
GLOBAL = "no local attention"


@dataclass(frozen=True)
class Candidate:
    """What is imported: the architecture, the sizes that the tensors have, and how many positions `k` are used."""

    architecture: Architecture
    sizes: Mapping[str, int]
    k: int

    @property
    def has_mlp(self) -> bool:
        return self.architecture.activation != "none"


@dataclass(frozen=True)
class Statement:
    """One known setting: `key` is the name that TransformerLens has for it, `source` and `name` say where it is."""

    source: str  # ends in a separator, unless it is empty
    name: str
    key: str
    value: Value

    @property
    def where(self) -> str:
        return self.source + self.name


_ALIASES: Mapping[str, tuple[str, ...]] = {
    "normalization_type": (
        "normalization", "norm_type", "layer_norm", "layernorm", "layer_norm_type", "use_layer_norm", "use_layernorm",
        "use_ln", "layernorm_type", "use_norm",
    ),
    "norm_first": ("pre_norm", "prenorm"),
    "eps": ("layer_norm_eps", "layer_norm_epsilon", "layernorm_eps", "ln_eps", "norm_eps"),
    "use_attn_scale": ("scale_attn_weights",),
    "attn_scale": (),
    "scale_attn_by_inverse_layer_idx": (),
    "positional_embedding_type": ("position_embedding_type", "pos_embed_type", "positional_embedding"),
    "rotary_dim": (),
    "use_rotary": ("rotary", "use_rope", "rope", "use_alibi", "alibi"),
    "attn_scores_soft_cap": ("attn_logit_softcapping", "attn_soft_cap"),
    "output_logits_soft_cap": ("final_logit_softcapping", "logits_soft_cap", "logit_soft_cap", "soft_cap", "softcap"),
    "clip_qkv": (),
    "use_logn_attn": (),
    "use_attention_sinks": (),
    "scale_embedding": (),
    "use_qk_norm": ("qk_norm",),
    "post_embedding_ln": (),
    "use_normalization_before_and_after": (),
    "final_rms": (),
    "uses_rms_norm": (),
    "attn_only": ("attention_only",),
    "d_mlp": ("d_ff", "ff", "n_inner", "intermediate_size", "dim_feedforward"),
    "act_fn": ("activation_function", "hidden_act"),
    "gated_mlp": (),
    "num_experts": ("n_experts",),
    "parallel_attn_mlp": ("parallel_residual", "use_parallel_residual"),
    "cross_attention": ("add_cross_attention", "use_cross_attention"),
    "n_layers": ("num_layers", "n_layer", "layers", "num_hidden_layers", "n_blocks", "num_blocks"),
    "n_heads": ("num_heads", "n_head", "heads", "num_attention_heads", "nhead", "num_head"),
    "n_key_value_heads": ("num_key_value_heads",),
    "n_ctx": ("n_positions", "max_position_embeddings", "block_size", "context_length", "max_seq_len"),
    "d_vocab": ("vocab_size", "n_vocab"),
    "d_vocab_out": (),
    "d_model": ("n_embd", "hidden_size", "embed_dim", "embedding_dim"),
    "d_head": ("head_dim",),
    "use_local_attn": (),
    "window_size": ("sliding_window",),
    "attn_types": (),
    "attention_dir": (),
    "causal": ("is_causal",),
    "pool": ("pooling", "readout"),
    "default_prepend_bos": ("prepend_bos",),
}  # fmt: skip
_KEYS = {alias: key for key, aliases in _ALIASES.items() for alias in (key, *aliases)}

_TEXTS: Mapping[str, Value] = {
    "none": None, "null": None, "~": None, "": None,
    "true": True, "yes": True, "on": True,
    "false": False, "no": False, "off": False,
}  # fmt: skip
# A setting in a text that is no JSON, such as YAML or what a dataclass prints: use_attn_scale=False, n_heads: 1.
_SETTING_IN_TEXT = re.compile(
    r"""\b([A-Za-z]+(?:_[A-Za-z]+)+)["']?\s*[:=]\s*("[^"\n]*"|'[^'\n]*'|[^\s,;:=(){}\[\]"'#]+)(?=\s*(?:[,;)}#\n]|$))"""
)
_UNSET = -1  # what TransformerLens writes for "not set", or "from other settings"
_MAX_SHOWN = 60


def read_configuration(path: Path) -> list[Statement]:
    """The settings in a JSON or YAML file. UserError when it cannot be read, or has none that are known."""
    file_bytes = read_input(path)
    hint = 'write JSON or YAML, for example {"normalization_type": null, "use_attn_scale": true}'
    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            import yaml
        except ImportError as error:
            raise missing_extra(f"reading {path}", "PyYAML", "yaml") from error

        class Loader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
            """Refuses a key that is there twice, as `_load_json` does; yaml keeps the last."""

            def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
                keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
                if len(set(keys)) < len(keys):
                    raise ValueError("a key is there twice")
                found: dict[Any, Any] = super().construct_mapping(node, deep)
                return found

        load: Callable[[bytes], object] = partial(yaml.load, Loader=Loader)

        wrong: tuple[type[Exception], ...] = (yaml.YAMLError, ValueError, RecursionError)
    else:
        load, wrong = _load_json, (ValueError, RecursionError)
        hint += "; YAML in a file whose name ends in .yaml or .yml"
    try:
        contents = load(file_bytes)
    except wrong as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a configuration that can be read: {reason}", hint) from error
    if not isinstance(contents, dict):
        raise UserError(f"{path} holds {a(contents)}, not keys and values", hint)
    found = [
        replace(statement, source=f"{path.name}: {statement.source}") for statement in statements(sections(contents))
    ]
    if not found:
        raise UserError(f"{path} has no key that is known", f"known are {', '.join(_ALIASES)}")
    return found


def _load_json(file_bytes: bytes) -> object:
    def distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    return json.loads(file_bytes, object_pairs_hook=distinct)


def statements(found: Iterable[Section]) -> list[Statement]:
    """All known settings in these mappings, also where a number is stored as a tensor or a text."""
    known = []
    for section in found:
        numbers = {name: array.read().item() for name, array in section.arrays.items() if is_setting(name, array)}
        source = "".join(f"{key}." for key in section.path)
        for name, value in {**section.values, **numbers}.items():
            key = _key(name)
            if isinstance(value, Mapping):  # {"value": 1, "desc": null} is how wandb writes a setting
                value = next((value[field] for field in ("value", "type", "name") if field in value), value)
            if key is not None and not isinstance(value, Mapping):
                known.append(Statement(source, name, key, _plain(value)))
            elif key is None and isinstance(value, str):
                known += _in_text(f"{source}{name}: ", value)
    return known


def _key(name: str) -> str | None:
    """The key of TransformerLens that `name` means, also as model.n_heads, n-heads or nHeads; None for others."""
    last = re.split(r"[./]", name)[-1]
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last).lower() if not last.isupper() else last.lower()
    return _KEYS.get(snake.replace("-", "_"))


def _in_text(source: str, text: str) -> list[Statement]:
    if len(text) > MAX_TEXT or (text.lstrip()[:1] == "{" and sections(text)):
        return []  # a mapping in JSON has a section of its own
    found = [(name, _key(name), value.strip("\"'")) for name, value in _SETTING_IN_TEXT.findall(text)]
    return [
        Statement(source, name, key, _plain(value))
        for name, key, value in found
        if key is not None and value not in ("bool", "int", "float", "str")  # of source code: attn_only: bool
    ]


def is_setting(name: str, array: StoredArray) -> bool:
    """Whether an array is a known setting: a single number."""
    return array.entries == 1 and len(array.shape) <= 1 and _key(name) is not None


def _plain(value: object) -> Value:
    """The value as Python's own; texts such as "None" and "4" mean what they say, anything else is its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple) and len(value) == 1:
        return _plain(value[0])  # attn_types and the like: one entry per layer
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    if value.strip().lower() in _TEXTS:
        return _TEXTS[value.strip().lower()]
    for number in (int, float):
        try:
            return number(value) if len(value) < _MAX_SHOWN else value
        except ValueError:
            pass
    return value


def _shown(value: Value) -> str:
    if isinstance(value, str) and re.fullmatch(r"<\w+>", value):
        return f"an object of type {value[1:-1]}"
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a very large number"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def disagreements(given: Sequence[Statement]) -> list[str]:
    """A sentence for each setting that is given twice with different values."""
    first: dict[str, Statement] = {}
    found = []
    for statement in given:
        other = first.setdefault(statement.key, statement)
        if other is not statement and _or_none(statement.value) != _or_none(other.value):
            found.append(f"{other.where} is {_shown(other.value)}, but {statement.where} is {_shown(statement.value)}")
    return found


def contradictions(given: Sequence[Statement], candidate: Candidate) -> list[str]:
    """A sentence, with the name of the key, for each setting that is not the function that is candidate."""
    values = {statement.key: statement.value for statement in given}
    found = []
    for statement in given:
        expected = _CHECKS[statement.key](statement.value, values, candidate)
        if expected:
            found.append(f"{statement.where} is {_shown(statement.value)}, and {expected}")
    return found


def confirmed(given: Sequence[Statement]) -> set[str]:
    """Which of the assumptions the settings confirm; they must have no contradiction."""
    values = {statement.key: statement.value for statement in given}
    found = set()
    if "normalization_type" in values:
        found.add(NORM)
    if "positional_embedding_type" in values:
        found.add(POSITIONS)
    if {"attn_scores_soft_cap", "output_logits_soft_cap"} <= values.keys():
        found.add(CAPS)
    if {"use_local_attn", "window_size"} & values.keys():
        found.add(GLOBAL)
    return found


def value_of(given: Sequence[Statement], key: str) -> Value:
    """What the settings say of `key`; None if nothing, or that it is not set."""
    return next((statement.value for statement in given if statement.key == key and _is_set(statement.value)), None)


def is_causal(given: Sequence[Statement]) -> bool | None:
    """Whether the settings say that a position sees only those before it; None when they say nothing."""
    direction = value_of(given, "attention_dir")
    if direction is not None:
        return str(direction).lower() == "causal"
    causal = value_of(given, "causal")
    return None if causal is None else bool(causal)


def checked(given: Sequence[Statement]) -> list[str]:
    """One line for each place that has settings, with their names."""
    names: dict[str, list[str]] = {}
    for statement in given:
        names.setdefault(statement.source.rstrip(".: "), []).append(statement.name)
    return [f"checked{' in ' if source else ''}{source}: {', '.join(found)}" for source, found in names.items()]


def remarks(given: Sequence[Statement]) -> list[str]:
    """Notes about settings that are no contradiction, yet worth a thought."""
    return [
        f"{statement.where} is True: if your inputs began with a beginning-of-sequence token, it is one of the k tokens"
        for statement in given
        if statement.key == "default_prepend_bos" and statement.value is True
    ]


def _is_set(value: Value) -> bool:
    return value is not None and value != _UNSET


def _or_none(value: Value) -> Value:
    """One value for all the ways to say that something is off or not set."""
    return value if value and value != _UNSET else None


# A check takes the value, all values by key, and what is imported; it returns what should be there, or "".
_Check: TypeAlias = Callable[[Value, Mapping[str, Value], Candidate], str]


def _off(what: str) -> _Check:
    return lambda value, values, candidate: f"it must be off ({what})" if value else ""


def _size(name: str, what: str = "") -> _Check:
    def check(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
        sizes = {**candidate.sizes, "n_layers": candidate.architecture.blocks, "n_heads": candidate.architecture.heads}
        expected = sizes[name]
        fits = not _is_set(value) or (value == expected and not isinstance(value, bool))
        return "" if fits else f"the tensors have {what or name} = {expected}"

    return check


def _cap(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    uncapped = value is None or (isinstance(value, bool | int | float) and value <= 0)
    return "" if uncapped else "the theory covers no caps"


def _normalization(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    kind = candidate.architecture.normalization
    if is_no_normalization(value):
        return "" if kind == "none" else "the tensors have weights of a LayerNorm"
    if value is True or value == 1:
        return "" if kind != "none" else "the tensors have no weights of a LayerNorm"
    named = {"ln": "LN", "layernorm": "LN", "layer_norm": "LN", "lnpre": "LNPre"}.get(str(value).lower())
    if named is None:
        return "only LayerNorm is covered: 'LN', or 'LNPre' without weights"
    present = "weights of a LayerNorm" if kind == "LN" else "no weights of a LayerNorm"
    return "" if named == kind else f"the tensors have {present}"


def is_no_normalization(value: Value) -> bool:
    """Whether a value of normalization_type says that there is none."""
    return not value or (isinstance(value, str) and value.lower() == "identity")


def _use_attn_scale(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    return "" if value is None or _is_number(value) else "it must be on or off"


def _is_number(value: Value) -> bool:
    return isinstance(value, bool | int | float)


def _attn_scale(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    positive = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return "" if positive or not _is_set(value) else "scores must be divided by a positive number"


def _eps(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    try:
        fine = value is None or exact_number(str(value)) >= 0
    except ValueError:
        fine = False
    return "" if fine else "it must be a number from 0"


def _positions(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    learned = isinstance(value, str) and value.lower() in ("standard", "learned", "absolute")
    return "" if learned else "it must be 'standard': learned positions that are added to the residual stream"


def _rotary(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    unused = not _is_set(value) or value == 0 or "positional_embedding_type" in values
    return "" if unused else "positions must be learned"


def _attn_only(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    if value is not None and not _is_number(value):
        return "it must be on or off"
    if candidate.has_mlp:
        return "the tensors have an MLP" if value else ""
    return "" if value is None or value else "the tensors have no MLP"


def _mlp(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    """Of a setting that means something if there is an MLP only."""
    unused = candidate.has_mlp or not value or value == _UNSET or bool(values.get("attn_only"))
    return "" if unused else "the tensors have no MLP (attn_only does not say so)"


def _d_mlp(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    return _size("d_mlp")(value, values, candidate) if candidate.has_mlp else _mlp(value, values, candidate)


def _act_fn(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    if candidate.has_mlp and value is not None and activation_of(value) is None:
        return f"covered are {', '.join(_ACTIVATIONS)}"
    return _mlp(value, values, candidate)


def _off_in_mlp(what: str) -> _Check:
    """Of a variant of the MLP that is not covered: it must be off unless there is none."""
    return lambda value, values, candidate: (
        f"it must be off ({what})" if candidate.has_mlp and value else _mlp(value, values, candidate)
    )


def _parallel(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    return "the MLP must come after attention, not beside it" if value and candidate.has_mlp else ""


def _local(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    """Local attention is covered when its window reaches from the last of the k positions to the first."""
    said_off = values.get("use_local_attn") is False or values.get("attn_types") == "global"
    is_off = said_off or not value or value in ("global", _UNSET)
    window = values.get("window_size")
    reaches = isinstance(window, int) and not isinstance(window, bool) and window >= candidate.k
    return "" if is_off or reaches else "the last position must attend to every position (no local attention)"


def _attention_dir(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    known = value is None or str(value).lower() in ("causal", "bidirectional")
    return "" if known else "it must be 'causal' or 'bidirectional'"


def _pool(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    return "" if value in (None, "last", "sum", "mean") else "it must be 'last', 'sum' or 'mean'"


def _fine(value: Value, values: Mapping[str, Value], candidate: Candidate) -> str:
    return ""


_ACTIVATIONS: Mapping[str, Activation] = {
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu_erf",
    "gelu_erf": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


def activation_of(value: Value) -> Activation | None:
    """The activation that a value of act_fn names; None for one that is not covered."""
    return _ACTIVATIONS.get(value.lower()) if isinstance(value, str) else None


_CHECKS: Mapping[str, _Check] = {
    "normalization_type": _normalization,
    "norm_first": _fine,
    "eps": _eps,
    "use_attn_scale": _use_attn_scale,
    "attn_scale": _attn_scale,
    "scale_attn_by_inverse_layer_idx": _off("scores are divided by the same number in every block"),
    "positional_embedding_type": _positions,
    "rotary_dim": _rotary,
    "use_rotary": _off("positions must be learned"),
    "attn_scores_soft_cap": _cap,
    "output_logits_soft_cap": _cap,
    "clip_qkv": _cap,
    "use_logn_attn": _off("scores are divided by the same number at every length"),
    "use_attention_sinks": _off("attention sums to 1 over the tokens"),
    "scale_embedding": _off("embeddings are used as they are"),
    "use_qk_norm": _off("queries and keys are used as they are"),
    "post_embedding_ln": _off("the embedding is used as it is"),
    "use_normalization_before_and_after": _off("LayerNorm is before or after, not both"),
    "final_rms": _off("only LayerNorm is covered"),
    "uses_rms_norm": _off("only LayerNorm is covered"),
    "attn_only": _attn_only,
    "d_mlp": _d_mlp,
    "act_fn": _act_fn,
    "gated_mlp": _off_in_mlp("no gated MLP"),
    "num_experts": _off_in_mlp("no mixture of experts"),
    "parallel_attn_mlp": _parallel,
    "cross_attention": _off("no cross attention"),
    "n_layers": _size("n_layers"),
    "n_heads": _size("n_heads"),
    "n_key_value_heads": _size("n_heads"),
    "n_ctx": _size("n_ctx"),
    "d_vocab": _size("d_vocab"),
    "d_vocab_out": _size("d_vocab_out"),
    "d_model": _size("d_model"),
    "d_head": _size("d_head"),
    "use_local_attn": _local,
    "window_size": _local,
    "attn_types": _local,
    "attention_dir": _attention_dir,
    "causal": _fine,
    "pool": _pool,
    "default_prepend_bos": _fine,
}
