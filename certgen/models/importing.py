"""Turning other people's checkpoints into canonical model files.

A checkpoint is accepted only when a recipe explains every tensor in it, and neither its tensors nor its configuration
say that the theory does not cover it; what stands in the way is refused by name.  What nothing in the file says is
assumed, and the assumptions are part of the result.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from certgen.errors import UserError, a
from certgen.models.architecture import Architecture
from certgen.models.checkpoints import Section, read_sections
from certgen.models.configuration import (
    Candidate,
    Statement,
    checked,
    contradictions,
    disagreements,
    read_configuration,
    remarks,
    statements,
)
from certgen.models.layouts import Fit, is_counter, masks, state_fits, without_positions
from certgen.models.model_file import ENTRY, FloatArray, Model, check_shapes, check_tensors, model_bytes, parse_model
from certgen.models.placing import Sizes, place, read, solve, square
from certgen.models.recipe import find_recipe, shipped
from certgen.models.refusals import part, refusal
from certgen.models.settling import Settled, heads, not_overruled, read_options, settle

_SHOWN = 8


@dataclass(frozen=True)
class Imported:
    """The canonical tensors and the architecture, as `save_model` takes them.

    `notes` are lines, one for each thing a user should know about them.
    """

    source: Path
    tensors: Mapping[str, FloatArray]
    architecture: Architecture
    notes: Sequence[str]

    @property
    def model(self) -> Model:
        """The model as it will be read from its file."""
        return parse_model(model_bytes(self.tensors, self.architecture), self.source)


def import_checkpoint(
    source: str | os.PathLike[str],
    k: int | None = None,
    config: str | os.PathLike[str] | None = None,
    recipe: str | None = None,
    options: Iterable[str] = (),
) -> Imported:
    """The canonical tensors of the checkpoint at `source`, for sequences of `k` tokens (n_ctx unless given).

    `recipe` is the name of a shipped recipe or the path of one; without it, the one that fits is found.  `options` are
    texts such as "heads=4" and "mask=full", and say what the file does not, or overrule it.  Values are kept exactly
    (BF16 becomes float32) and missing biases are zero.  Settings in the file, and in the JSON or YAML file `config`,
    are checked.  UserError names the tensor or the setting that the theory does not cover, and why.
    """
    path, chosen = Path(source), read_options(options)
    sections = read_sections(path)
    if (stated := _stated(sections)) is not None:
        if chosen or recipe is not None or config is not None:
            hint = "leave out --recipe, --set and --config, or import the checkpoint that the file was made from"
            raise UserError(f"{path} is a model file, which says what it computes", hint)
        return _own_file(path, sections[0], stated, k)
    given = statements(sections) + (read_configuration(Path(config)) if config is not None else [])
    given = not_overruled(given, chosen)
    recipes = list(shipped().values()) if recipe is None else [find_recipe(recipe)]
    found = state_fits(sections, recipes)
    if "positions" in chosen:
        found = [without_positions(fit) for fit in found]
    fit, sizes = _best([(fit, solve(fit)) for fit in found], path, recipe)
    number, assumed_heads = heads(fit, sizes, given, chosen)
    sizes = solve(fit, {"n_heads": number})
    if "positions" in chosen:
        if k is None:
            raise UserError("positions=none is set, so nothing tells the number of positions", "say it: --k K")
        sizes.known["n_ctx"] = k
    if sizes.problems:
        raise sizes.problems[0]
    used = _used(sizes.known["n_ctx"], k)
    _require_agreement(given)
    settled = settle(fit, sizes, used, given, chosen, assumed_heads)
    _require_covered(given, Candidate(settled.architecture, sizes.known, used))
    tensors = read(place(fit, sizes, settled.architecture))
    tensors["pos_embed.W_pos"] = tensors["pos_embed.W_pos"][:used]
    check_tensors(tensors, settled.architecture)
    notes = [f"recipe: {fit.recipe.name}, {fit.recipe.about}", *_notes(fit, sizes, settled, given, used)]
    if chosen:
        notes.append(f"set by hand: {', '.join(f'{name}={value}' for name, value in chosen.items())}")
    return Imported(path, tensors, settled.architecture, notes)


def _stated(sections: Sequence[Section]) -> Architecture | None:
    """The architecture that a model file of certgen's says it has."""
    text = sections[0].values.get(ENTRY) if sections else None
    try:
        return Architecture.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _own_file(path: Path, section: Section, architecture: Architecture, k: int | None) -> Imported:
    """The model in a file that says its architecture as a model file does, to be written again."""
    sizes = check_shapes({name: array.shape for name, array in section.arrays.items()}, architecture)
    used = _used(sizes["n_ctx"], k)
    tensors: dict[str, FloatArray] = {name: array.read() for name, array in section.arrays.items()}
    tensors["pos_embed.W_pos"] = tensors["pos_embed.W_pos"][:used]
    check_tensors(tensors, architecture)
    cut = [] if used == sizes["n_ctx"] else [_cut(sizes["n_ctx"], used, Settled(architecture), False)]
    return Imported(path, tensors, architecture, [f"architecture: {architecture.brief}, as the file says", *cut])


def _used(n_ctx: int, k: int | None) -> int:
    """How many positions are used of those that there are."""
    if k is not None and k > n_ctx:
        raise UserError(
            f"pos_embed.W_pos has {n_ctx} positions, but k = {k} was asked for", "a model answers for at most n_ctx"
        )
    return n_ctx if k is None else k


def _best(fits: Sequence[tuple[Fit, Sizes]], path: Path, asked: str | None) -> tuple[Fit, Sizes]:
    """The one recipe that fits; UserError when none does, or several do."""
    ranked = sorted(fits, key=lambda pair: pair[0].faults + len(pair[1].problems))
    nearest, sizes = ranked[0]
    state = nearest.state
    reasons: dict[str, str] = {}
    for name in {**dict.fromkeys(nearest.leftover), **dict.fromkeys(state.left_out)}:
        if reason := refusal(name):
            reasons.setdefault(reason, f"{name}: {reason}")
        elif name in state.left_out and (belongs := part(name)):
            reasons.setdefault(
                belongs, f"{name}: it belongs to {belongs} that stands beside the model in {state.label}"
            )
    if reasons:
        hint = "import another model, or train one with `certgen train`"
        raise UserError(f"the theory does not cover {'; nor '.join(list(reasons.values())[:_SHOWN])}", hint)
    _require_tensors([fit for fit, _ in ranked], path)
    if not state.arrays:
        raise UserError(f"{path} holds no tensors", "save model.state_dict()")
    fitting = [pair for pair in ranked if not pair[0].faults and not pair[1].problems]
    if len(fitting) > 1:
        names = " and ".join(fit.recipe.name for fit, _ in fitting)
        raise UserError(f"the recipes {names} all fit {path}", "say which it is: --recipe NAME")
    if fitting:
        return fitting[0]
    if not nearest.faults:
        raise sizes.problems[0]
    described = [f"{fit.recipe.name}: {_faults(fit)}" for fit, _ in ranked[:2] if fit.tensors]
    what = f"the recipe {asked} does not fit {path}" if asked else f"no recipe fits {path}"
    nearest_ones = f"; nearest is {'; then '.join(described)}" if described else ""
    raise UserError(
        f"{what}{nearest_ones}",
        "`certgen import` fills in missing biases only; docs/recipes.md says how to write a recipe",
    )


def _faults(fit: Fit) -> str:
    """What a recipe lacks in the checkpoint, and what of the checkpoint it has no place for."""
    found = [f"the tensor {name} is missing" for name in fit.missing[:_SHOWN]]
    found += [f"{name} is there twice, also as {other}" for name, other in list(fit.twice.items())[:_SHOWN]]
    if fit.leftover:
        more = f" and {len(fit.leftover) - _SHOWN} more" if len(fit.leftover) > _SHOWN else ""
        kind = "tensor" if len(fit.leftover) == 1 else "tensors"
        found.append(f"unknown {kind} {', '.join(fit.leftover[:_SHOWN])}{more}")
    return ", ".join(found)


def _require_tensors(fits: Sequence[Fit], path: Path) -> None:
    """Refuse plain values under the names of weights, which would otherwise only be missed."""
    sources = [source for fit in fits for source in fit.recipe.tensors.values()]
    known = {name.removeprefix("*").replace("{i}", "0") for source in sources for name in source.names}
    for name, value in fits[0].state.values.items():
        if name in known:
            raise UserError(f"{name} in {path} is {a(value)}, not a tensor", "save the state dict only")


def _require_agreement(given: Sequence[Statement]) -> None:
    found = disagreements(given)
    if found:
        raise UserError("; ".join(found[:_SHOWN]), "keep the one that is true of these weights")


def _require_covered(given: Sequence[Statement], candidate: Candidate) -> None:
    found = contradictions(given, candidate)
    if found:
        hint = "a certificate would be about another function; if a setting is not true of these weights, take it out"
        raise UserError("; ".join(found[:_SHOWN]), hint)


def _notes(fit: Fit, sizes: Sizes, settled: Settled, given: Sequence[Statement], k: int) -> list[str]:
    notes = []
    left_out = [
        f"{name} {list(array.shape) if array.shape else ''}".strip() for name, array in fit.state.left_out.items()
    ]
    left_out += [name for name, array in fit.state.arrays.items() if is_counter(array)]
    if left_out:
        more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
        notes.append(f"left out: {', '.join(left_out[:_SHOWN])}{more}")
    n_ctx = sizes.known["n_ctx"]
    if k < n_ctx:
        notes.append(_cut(n_ctx, k, settled, bool(masks(fit))))
    notes += checked(given)
    if settled.assumed:
        notes.append(f"assumed: {', '.join(settled.assumed)}")
    architecture = settled.architecture
    if fit.tensors["unembed.W_U"].names == fit.tensors["embed.W_E"].names:
        notes.append(f"note: there is no unembedding, so {fit.tensors['embed.W_E'].names[0]} is taken for it (tied)")
    matrices = list(dict.fromkeys(square(fit, sizes)))
    if matrices:
        lie = "rows are taken as inputs (torch.nn.Linear stores them the other way round)"
        if not fit.recipe.name.startswith(("transformer-lens", "arrays")):
            lie = f"they are taken to lie as the recipe {fit.recipe.name} says"
        notes.append(
            f"note: {', '.join(matrices)} are square, so their shapes do not tell them from their transposes; {lie}"
        )
    notes += [
        f"note: {name} has no entries; it does not say whether attention is local"
        for name, array in list(masks(fit).items())[:1]
        if array.entries == 0
    ]
    if architecture.mask == "full" and architecture.model_copy(update={"mask": "causal"}) == Architecture.default(
        sizes.known["d_head"]
    ):
        notes.append(
            f"note: at the last of {k} positions a causal mask makes the same function, which all strategies are for: "
            "--set mask=causal"
        )
    notes += [f"note: {remark}" for remark in remarks(given)]
    return notes


def _cut(n_ctx: int, k: int, settled: Settled, has_mask: bool) -> str:
    cut = f"cut: pos_embed.W_pos from {n_ctx} to {k} positions; "
    architecture, sure = settled.architecture, "causal mask" not in settled.assumed
    if architecture.mask == "causal" and architecture.pool == "none" and (sure or has_mask):
        return f"{cut}none of them sees a later one{'' if sure else ' under a causal mask'}, so this is exact"
    return f"{cut}the model is taken to be run on {k} tokens alone, without padding"
