"""Holding an imported model against samples of its owner's own forward pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError
from certgen.files import read_input
from certgen.models.checkpoints import StoredArray, read_npz
from certgen.models.forward import logits
from certgen.models.model_file import Model

# Of the spread of the logits. A forward pass in float32 stays far below it, one with another scale, mask or
# orientation far above.
TOLERANCE = 1e-4
_MAX_ENTRIES = 1 << 28
_HOW = 'write them with numpy.savez("samples.npz", x=tokens, logits=model(tokens)[:, -1])'


@dataclass(frozen=True)
class Agreement:
    """How far a model is from the samples: `largest` is at most `tolerance`, both in logits."""

    samples: int
    largest: float
    tolerance: float


def compare(model: Model, path: Path) -> Agreement:
    """Hold `model` against the arrays x [n, k] and logits [n, d_vocab_out] in the .npz at `path`.

    Logits can also be [n, k, d_vocab_out].  They are those at the last position, or at that in the array `readout`;
    those of a model that pools have no position.  A constant that is added to all logits of a sample changes no answer
    and no margin, so two rows differ by half the spread of their difference.  UserError when that is more than
    `TOLERANCE` times the largest half spread of the sampled logits anywhere, and when the arrays are not of this form.
    """
    arrays = read_npz(path, read_input(path))
    tokens, expected = _array(arrays, "x", path), _array(arrays, "logits", path)
    if tokens.ndim == 2 and len(tokens) == 0:
        raise UserError(f"{path} has no samples", _HOW)
    if expected.dtype.kind != "f" or not np.isfinite(expected).all():
        raise UserError(f"logits in {path} are not all finite floating-point numbers", _HOW)
    readout = _readout(arrays, model, path)
    found = logits(model, tokens, readout)
    if expected.ndim == 3 and expected.shape[1] == tokens.shape[1] and model.architecture.pool == "none":
        expected = expected[:, -1 if readout is None else readout]
    if expected.shape != found.shape:
        raise UserError(f"logits in {path} have shape {list(expected.shape)}; expected {list(found.shape)}", _HOW)
    expected = expected.astype(np.float64)
    distances = _half_spread(found - expected)
    worst = int(distances.argmax())
    tolerance = TOLERANCE * float(_half_spread(expected).max())
    largest = float(distances[worst])
    if largest > tolerance:
        sequence = " ".join(map(str, tokens[worst].tolist()))
        raise UserError(
            f"the imported model does not agree with {path}: the largest difference is {largest:.3g}, more than "
            f"{tolerance:.3g}, at sample {worst} ({sequence}: answer {found[worst].argmax()} here, "
            f"{expected[worst].argmax()} there)",
            "look at what was assumed (mask, scale, activation, LayerNorm), at heads, and at how square matrices lie; "
            "sample in float32 or better",
        )
    return Agreement(len(tokens), largest, tolerance)


def _readout(arrays: dict[str, Any], model: Model, path: Path) -> int | None:
    """The position that the samples were read at; None for the last, or if the model pools."""
    if "readout" not in arrays:
        return None
    value = _array(arrays, "readout", path)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise UserError(f"readout in {path} is not one integer", "give the position of the logits, counted from 0")
    if model.architecture.pool != "none":
        raise UserError(f"{path} has a readout, and the model pools over positions", "leave it out")
    return int(value.item())


def _array(arrays: dict[str, Any], name: str, path: Path) -> npt.NDArray[Any]:
    array = arrays.get(name)
    if not isinstance(array, StoredArray):
        held = ", ".join(sorted(arrays)[:8]) or "nothing"
        raise UserError(f"{path} has no array {name}; it has {held}", _HOW)
    if array.entries > _MAX_ENTRIES:
        raise UserError(
            f"{name} in {path} has {array.entries:,} entries", "give fewer samples; some thousands are enough"
        )
    return array.read()


def _half_spread(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    half: npt.NDArray[np.float64] = np.ptp(rows, axis=1) / 2
    return half
