"""Recipes: how a program names its tensors and lays out their axes, and what it computes that no tensor says.

A recipe is a TOML file; docs/recipes.md describes it.  Those in the folder recipes/ are tried in turn.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from certgen.errors import UserError
from certgen.files import read_input
from certgen.models.architecture import Activation, Architecture, Axes, Norm

FOLDER = Path(__file__).with_name("recipes")

# Every tensor that a recipe can give, with its axes in the model file; {i} is the block.
_MOST = Architecture(
    blocks=1, heads=1, mask="causal", attn_scale_squared="1", activation="relu", normalization="LN",
    norms=("pre", "final"), eps="0", pool="none", readout_layers=0,
)  # fmt: skip
_AXES: Mapping[str, Axes] = {
    name.replace("blocks.0.", "blocks.{i}."): axes for name, axes in _MOST.tensor_shapes().items()
}
WEIGHTS = tuple(
    name for name in _AXES if re.search(r"\.W_(?!in|out)", name)
)  # the matrices without which there is no model
_READOUT = re.compile(r"readout\.(\d+)\.([Wb])")
_TOKEN = re.compile(r"\(([^()]+)\)|(\S+)")
_AXIS = re.compile(r"[a-z][a-z_0-9]*|[1-9][0-9]{0,3}")

Group: TypeAlias = tuple[str, ...]  # the axes that one axis of a stored array holds, outermost first
Texts: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else tuple(value))
]


def canonical_axes(name: str, readout_layers: int) -> Axes:
    """The axes that a tensor of the model file has; `name` may have {i} for the block. KeyError if there is none."""
    if name == "unembed.W_U" and readout_layers:
        return (f"d_readout_{readout_layers - 1}", "d_vocab_out")
    if match := _READOUT.fullmatch(name):
        before = f"d_readout_{int(match[1]) - 1}" if match[1] != "0" else "d_model"
        after = f"d_readout_{match[1]}"
        return (before, after) if match[2] == "W" else (after,)
    return _AXES[re.sub(r"^blocks\.\d+\.", "blocks.{i}.", name)]


def groups(axes: str) -> tuple[Group, ...]:
    """One group for each axis of the stored array, of a text such as "d_model (3 n_heads d_head)"."""
    return tuple(tuple((match[1] or match[2]).split()) for match in _TOKEN.finditer(axes))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(_Strict):
    """Where one tensor comes from: names, of which the first that is there is taken, and the axes stored under it.

    In a name {i} stands for the number of the block, {h} for that of the head, a leading * for any modules around.
    `part` says which of the parts of a fused matrix this tensor is.
    """

    names: Annotated[Texts, Field(alias="from", min_length=1)]
    axes: Annotated[Texts, Field(min_length=1)]
    part: int | None = None

    @field_validator("axes")
    @classmethod
    def _readable(cls, layouts: tuple[str, ...]) -> tuple[str, ...]:
        for layout in layouts:
            if _TOKEN.sub("", layout).strip() or not all(
                _AXIS.fullmatch(axis) for group in groups(layout) for axis in group
            ):
                raise ValueError(f"{layout!r} is not a list of axes such as 'd_model (3 n_heads d_head)'")
        return layouts


class Function(_Strict):
    """What the program computes, as far as no tensor says it; a field that is left out has to be given by hand."""

    heads: Annotated[int | None, Field(ge=1)] = None
    mask: Literal["causal", "full"] | None = None
    attn_scale: str | None = None
    activation: Activation | None = None
    norms: tuple[Norm, ...] | None = None
    eps: str | None = None
    pool: Literal["none", "sum", "mean"] | None = None

    @field_validator("norms", mode="before")
    @classmethod
    def _sequence(cls, norms: object) -> object:
        return tuple(norms) if isinstance(norms, list) else norms


class Recipe(_Strict):
    """A recipe; `tensors` are by their names in the model file, with {i} for the block.

    `mask` is the name of a stored mask that says what positions see, `local_mask` of one that is used only where
    attention is causal, and so says no more than whether it is local; `ignore` are buffers that say nothing.
    `doubtful` are settings that versions of the program take differently when they are off.
    """

    name: str
    about: str = ""
    ignore: tuple[str, ...] = ()
    mask: str | None = None
    local_mask: str | None = None
    doubtful: tuple[str, ...] = ()
    tensors: dict[str, Source]
    architecture: Function = Function()

    @field_validator("ignore", "doubtful", mode="before")
    @classmethod
    def _sequence(cls, names: object) -> object:
        return tuple(names) if isinstance(names, list) else names

    @property
    def readout_layers(self) -> int:
        """How many hidden layers there are between the position that is read and the unembedding."""
        return sum(name.startswith("readout.") and name.endswith(".W") for name in self.tensors)

    @field_validator("tensors")
    @classmethod
    def _known(cls, tensors: dict[str, Source]) -> dict[str, Source]:
        readout_layers = sum(name.startswith("readout.") and name.endswith(".W") for name in tensors)
        for name, source in tensors.items():
            try:
                wanted = set(canonical_axes(name, readout_layers))
            except KeyError:
                raise ValueError(f"there is no tensor {name} in a model file; there are {', '.join(_AXES)}") from None
            for layout in source.axes:
                named = [axis for group in groups(layout) for axis in group]
                numbers = [axis for axis in named if axis.isdigit() and axis != "1"]
                axes = {axis for axis in named if not axis.isdigit()}
                if not axes <= wanted or not wanted - axes <= {"n_heads"} or len(numbers) != (source.part is not None):
                    parts = "" if source.part is None else " and a number of parts"
                    raise ValueError(f"{name}: the axes {layout!r} must be {', '.join(sorted(wanted))}{parts}")
                if source.part is not None and not 0 <= source.part < int(numbers[0]):
                    raise ValueError(f"{name}: there is no part {source.part} of {numbers[0]}; the first is 0")
        missing = [name for name in WEIGHTS if name not in tensors and name != "pos_embed.W_pos"]
        if missing:
            raise ValueError(f"the tensor {missing[0]} is missing")
        return tensors


def squared_scale(text: str, sizes: Mapping[str, int]) -> Fraction:
    """The square of what scores are divided by, from a number or sqrt(number), sqrt(d_head), sqrt(d_model)."""
    match = re.fullmatch(r"sqrt\((.+)\)", text.strip())
    inner = match[1].strip() if match else text
    if match and inner in ("d_head", "d_model"):
        return Fraction(sizes[inner])
    number = exact_number(inner)
    if number <= 0:
        raise ValueError(f"{text!r} is not positive")
    return number if match else number**2


def exact_number(text: str) -> Fraction:
    """The number that a text such as 1e-5, 0.125 or 1/8 writes down, exactly; ValueError for any other."""
    if len(text) > 60 or re.search(r"e[+-]?\d{4,}", text, re.I):
        raise ValueError(f"{text[:60]!r} is too long a number")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} is not a number") from None


@cache
def shipped() -> Mapping[str, Recipe]:
    """The recipes of this distribution by name, in the order in which they are listed."""
    return {path.stem: _parse(path, path.stem) for path in sorted(FOLDER.glob("*.toml"))}


def find_recipe(name: str) -> Recipe:
    """The shipped recipe of this name, or that in the TOML file at this path; UserError when there is none."""
    if name in shipped():
        return shipped()[name]
    path = Path(name)
    if path.suffix != ".toml":
        hint = f"there are {', '.join(shipped())}; a recipe of your own is a file whose name ends in .toml"
        raise UserError(f"there is no recipe {name}", hint)
    return _parse(path, path.name)


def _parse(path: Path, name: str) -> Recipe:
    hint = "docs/recipes.md says how a recipe is written"
    try:
        contents = tomllib.loads(read_input(path).decode("utf-8"))
        return Recipe.model_validate({**contents, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = f"{place}: {first['msg'].removeprefix('Value error, ')}"
    except (ValueError, RecursionError) as error:  # also TOMLDecodeError and UnicodeDecodeError
        reason = str(error)
    raise UserError(f"{path} is not a recipe: {reason}", hint)
