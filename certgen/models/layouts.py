"""Holding the tensors of a checkpoint against recipes: which model is in it, and under which names.

Names can have prefixes of any depth, and the names of wrappers in them.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from certgen.errors import UserError
from certgen.models.checkpoints import Section, StoredArray
from certgen.models.configuration import is_setting
from certgen.models.model_file import MAX_MODEL_BYTES
from certgen.models.recipe import WEIGHTS, Recipe, Source

_ENOUGH_WEIGHTS = 4  # of seven, to take a set of tensors for a model and then complain about what it lacks

# What wrappers put into names, anywhere: torch.compile, TransformerLens 4, FSDP, activation checkpointing.
_WRAPPERS = ("_orig_mod", "_original_component", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_INSIDE_A_MODEL = re.compile(r"(^|\.)(attn|mlp|embed|pos_embed|unembed)\.$")
_PREFIX = r"(?P<prefix>(?:.*?\.)??)"
_NORMS = ("blocks.{i}.ln1.w", "blocks.{i}.ln2.w")


@dataclass(frozen=True)
class StateDict:
    """One model's tensors under their names without prefix; `label` says where in the file they are."""

    label: str
    arrays: Mapping[str, StoredArray]
    left_out: Mapping[str, StoredArray]
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Match:
    """The arrays that one tensor of the model file is made of: one, or one for each head."""

    names: tuple[str, ...]
    source: Source
    by_head: bool


@dataclass(frozen=True)
class Fit:
    """How a state dict looks in the light of a recipe.

    `tensors` are by their names in the model file, those with {i} also by the number of the block; `missing` are names
    in the model file, `leftover` and `twice` (with what they repeat) names in the checkpoint.
    """

    recipe: Recipe
    state: StateDict
    tensors: Mapping[str, Match]
    blocks: int
    missing: Sequence[str]
    leftover: Sequence[str]
    twice: Mapping[str, str]

    @property
    def has_mlp(self) -> bool:
        return any(".mlp." in name for name in self.tensors)

    @property
    def has_block_norms(self) -> bool:
        return any(re.search(r"\.ln[12]\.", name) for name in self.tensors)

    @property
    def has_final_norm(self) -> bool:
        return any(name.startswith("ln_final.") for name in self.tensors)

    @property
    def faults(self) -> int:
        """How much has to be explained away before the recipe fits."""
        return len(self.missing) + len(self.leftover) + len(self.twice)


def state_fits(sections: Sequence[Section], recipes: Sequence[Recipe]) -> list[Fit]:
    """How each of `recipes` fits the one model in the checkpoint; UserError when there are several that differ.

    Without any, it is the largest collection of tensors that is looked at, so that what it lacks can be named.
    """
    models: list[list[Fit]] = []
    for section in sections:
        arrays = _unwrapped(section.arrays)
        by_recipe = {recipe.name: _models(section, arrays, recipe) for recipe in recipes}
        fits = [fit for found in by_recipe.values() for fit in found]
        if fits:
            best = min(fits, key=lambda fit: fit.faults)
            models += [
                [own] + [fit for fit in fits if fit.recipe is not best.recipe and fit.state.label == own.state.label]
                for own in by_recipe[best.recipe.name]
            ]
    if not models:
        fullest = max(sections, key=lambda section: len(section.arrays))
        state = StateDict(_label(fullest.path, ""), _unwrapped(fullest.arrays), {}, fullest.values)
        return [match(recipe, state) for recipe in recipes]
    first = models[0][0].state
    different = [fits[0].state.label for fits in models[1:] if not _same_tensors(first.arrays, fits[0].state.arrays)]
    if different:
        labels = ", ".join([first.label, *different[:4]]) + (" ..." if len(different) > 4 else "")
        raise UserError(
            f"the file holds {1 + len(different)} different sets of weights: {labels}",
            'save the one you mean alone, for example torch.save(checkpoint["model"], "model.pth")',
        )
    return models[0]


def _models(section: Section, arrays: Mapping[str, StoredArray], recipe: Recipe) -> list[Fit]:
    """The sets of tensors, one for each prefix, that have enough of a model by this recipe."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, array in arrays.items():
        for template in WEIGHTS:
            for pattern in recipe.tensors[template].names if template in recipe.tensors else ():
                matched = _pattern(pattern, prefixed=True).fullmatch(name)
                prefix = matched["prefix"] if matched else ""
                if matched and len(array.shape) >= 2 and ("." in pattern or not _INSIDE_A_MODEL.search(prefix)):
                    found[prefix].add(template)
    prefixes = [prefix for prefix, templates in found.items() if len(templates) >= _ENOUGH_WEIGHTS]
    fits = []
    for prefix in prefixes:
        own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        rest = {
            name: array
            for name, array in arrays.items()
            if not any(name.startswith(each) for each in (prefix, *prefixes) if each or not prefix)
        }
        fits.append(match(recipe, StateDict(_label(section.path, prefix), own, rest, section.values)))
    return fits


@cache
def _pattern(template: str, prefixed: bool = False) -> re.Pattern[str]:
    """A name of a recipe as a pattern; `prefixed` allows for a prefix, which is what a * stands for anyway."""
    text = re.escape(template.removeprefix("*"))
    for place in "ih":
        text = text.replace(rf"\{{{place}\}}", rf"(?P<{place}>0|[1-9]\d{{0,3}})")
    around = r"(?:.*\.)?" if template.startswith("*") else ""
    if prefixed:
        return re.compile((rf"(?P<prefix>){around}" if around else _PREFIX) + text)
    return re.compile(around + text)


def match(recipe: Recipe, state: StateDict) -> Fit:
    """The tensors of `state` that `recipe` names, and what is missing or left over. Cost: names times names."""
    tensors: dict[str, Match] = {}
    twice: dict[str, str] = {}
    missing: list[str] = []
    used: set[str] = set()
    for template, source in recipe.tensors.items():
        for pattern in source.names:
            hits: dict[str, dict[int, str]] = defaultdict(dict)
            for name in state.arrays:
                if matched := _pattern(pattern).fullmatch(name):
                    places = matched.groupdict()
                    canonical, head = template.replace("{i}", places.get("i") or "0"), int(places.get("h") or 0)
                    if head in hits[canonical]:
                        twice[name] = hits[canonical][head]
                    hits[canonical].setdefault(head, name)
            if hits:
                break
        for canonical, heads in hits.items():
            names = [heads[head] for head in sorted(heads)]
            tensors[canonical] = Match(tuple(names), source, "{h}" in pattern)
            used.update(names)
            if sorted(heads) != list(range(len(heads))):
                missing.append(f"{canonical}, a head of")
    blocks = 1 + max((int(name.split(".")[1]) for name in tensors if name.startswith("blocks.")), default=0)
    fit = Fit(recipe, state, tensors, blocks, (), (), {})
    missing += [name for name in _required(fit) if name not in tensors]
    leftover = []
    for name, array in state.arrays.items():
        if name in used or name in twice or is_counter(array) or is_setting(name, array) or is_buffer(name, fit):
            continue
        other = _repeated(name, recipe, tensors)
        if other:
            twice[name] = other
        else:
            leftover.append(name)
    return Fit(recipe, state, tensors, blocks, tuple(missing), tuple(leftover), twice)


def without_positions(fit: Fit) -> Fit:
    """The same for a model that has no positions; UserError if there is a tensor of them."""
    if "pos_embed.W_pos" in fit.tensors:
        name = fit.tensors["pos_embed.W_pos"].names[0]
        raise UserError(f"positions=none is set, and {name} holds positions", "leave it out")
    return replace(fit, missing=tuple(name for name in fit.missing if name != "pos_embed.W_pos"))


def _required(fit: Fit) -> list[str]:
    """The tensors that a model of these parts must have; biases are not among them."""
    templates = list(WEIGHTS)
    if fit.has_mlp:
        templates += ["blocks.{i}.mlp.W_in", "blocks.{i}.mlp.W_out"]
    if fit.has_block_norms:
        templates += _NORMS if fit.has_mlp else _NORMS[:1]
    if fit.has_final_norm:
        templates.append("ln_final.w")
    templates += [name for name in fit.recipe.tensors if name.startswith("readout.") and name.endswith(".W")]
    return [
        template.replace("{i}", str(block))
        for template in templates
        for block in range(fit.blocks if "{i}" in template else 1)
    ]


def _repeated(name: str, recipe: Recipe, tensors: Mapping[str, Match]) -> str:
    """The array that was taken in place of this one, when both are names of the same tensor."""
    for template, source in recipe.tensors.items():
        for pattern in source.names:
            if matched := _pattern(pattern).fullmatch(name):
                canonical = template.replace("{i}", matched.groupdict().get("i") or "0")
                if canonical in tensors:
                    return tensors[canonical].names[0]
    return next((tensors[each].names[0] for each in tensors if each.rpartition(".")[2] == name), "")


def is_counter(array: StoredArray) -> bool:
    """Whether an array is a single integer, such as a number of steps, which is no weight."""
    return array.is_integer and array.shape == ()


def is_buffer(name: str, fit: Fit) -> bool:
    """Whether an array of this name is a mask of one of the blocks, or one that changes nothing."""
    for buffer in filter(None, (*fit.recipe.ignore, fit.recipe.mask, fit.recipe.local_mask)):
        if matched := _pattern(buffer).fullmatch(name):
            return int(matched.groupdict().get("i") or 0) < fit.blocks
    return False


def masks(fit: Fit) -> dict[str, StoredArray]:
    """The attention masks that are stored, by name; those without entries, which say nothing, are among them."""
    patterns = [_pattern(mask) for mask in (fit.recipe.mask, fit.recipe.local_mask) if mask is not None]
    return {
        name: array for name, array in fit.state.arrays.items() if any(pattern.fullmatch(name) for pattern in patterns)
    }


def _label(path: tuple[str, ...], prefix: str) -> str:
    return ".".join((*path, prefix + "*")) if prefix else ".".join(path) or "the top level"


def _unwrapped(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """The arrays without the names of wrappers, which can make one tensor appear several times."""
    unwrapped: dict[str, StoredArray] = {}
    for name, array in arrays.items():
        plain = ".".join(part for part in name.split(".") if part not in _WRAPPERS)
        if plain in unwrapped and not _same(unwrapped[plain], array):
            raise UserError(f"{name} is there twice, also as {plain}", "keep one of them")
        unwrapped.setdefault(plain, array)
    return unwrapped


def _same_tensors(first: Mapping[str, StoredArray], second: Mapping[str, StoredArray]) -> bool:
    return first.keys() == second.keys() and all(_same(array, second[name]) for name, array in first.items())


def _same(first: StoredArray, second: StoredArray) -> bool:
    if (first.shape, first.dtype) != (second.shape, second.dtype) or first.entries > MAX_MODEL_BYTES:
        return False
    return np.array_equal(first.read(), second.read())
