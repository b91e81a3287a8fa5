"""Reading PyTorch files by PyTorch's loader for weights only: no code that a file names is ever run.

Two kinds of harmless objects that this loader refuses are common beside weights: the configuration of a
TransformerLens model, and single numbers of numpy.  They are read by stand-ins, which keep what the file says about
the object and run nothing of its class.
"""

import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from certgen.errors import MissingTorch, UserError

if TYPE_CHECKING:
    import torch

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAMED_IN_REFUSAL = re.compile(r"GLOBAL (\S+)")
_NO_REASON = re.compile(r"Unsupported operand|\d+$|EOFError|pop from|\W*$")
_SAVE_TENSORS = 'save the tensors alone: torch.save(model.state_dict(), "model.pth")'
_CONFIGURATIONS = (
    "transformer_lens.HookedTransformerConfig.HookedTransformerConfig",  # 1.x and 2.x
    "transformer_lens.config.HookedTransformerConfig.HookedTransformerConfig",
    "transformer_lens.config.hooked_transformer_config.HookedTransformerConfig",  # 3.x
    "transformer_lens.config.transformer_bridge_config.TransformerBridgeConfig",  # 3.x and 4.x
    "transformer_lens.config.transformer_lens_config.TransformerLensConfig",
)
_NUMPY_SCALARS = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")
_NUMBERS = re.compile(r"[<>=|]?([fiu][1248]|b1)")


class Record:
    """Stands for an object of another package: its fields become attributes."""

    def __setstate__(self, state: object) -> None:
        for fields in state if isinstance(state, tuple) else (state,):  # a tuple: of attributes and of slots
            if isinstance(fields, dict):
                vars(self).update({name: value for name, value in fields.items() if isinstance(name, str)})


class NumpyType:
    """Stands for numpy.dtype: what it was made of."""

    def __init__(self, code: object = None, *_: object) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]


def numpy_scalar(kind: object = None, data: object = None) -> int | float | bool | None:
    """Stands for the function that numpy's numbers are rebuilt by; None for what is not a number."""
    code = kind.order + kind.code if isinstance(kind, NumpyType) and isinstance(kind.code, str) else ""
    if not _NUMBERS.fullmatch(code) or not isinstance(data, bytes) or np.dtype(code).itemsize != len(data):
        return None
    number: int | float | bool = np.frombuffer(data, dtype=code)[0].item()
    return number


def load_torch(path: Path, file_bytes: bytes) -> object:
    """What `torch.save` wrote: tensors, plain values, containers of them, and `Record`s.

    UserError names the classes that stand in the way, or says that PyTorch is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingTorch(f"reading {path}") from error
    stand_ins: list[Any] = [(Record, name) for name in _CONFIGURATIONS]
    stand_ins += [(NumpyType, "numpy.dtype"), *((numpy_scalar, name) for name in _NUMPY_SCALARS)]
    with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings(action="ignore"):
        try:
            return torch.load(io.BytesIO(file_bytes), map_location="cpu", weights_only=True)
        except Exception as error:  # corrupt bytes fail in many ways inside the unpickler
            reason = _reason(str(error) or type(error).__name__, file_bytes)
            raise UserError(f"{path} does not load as a torch file of tensors only: {reason}", _SAVE_TENSORS) from error


def _reason(text: str, file_bytes: bytes) -> str:
    from torch.serialization import get_unsafe_globals_in_checkpoint

    text = _TERMINAL_CODES.sub("", text)
    named = _NAMED_IN_REFUSAL.findall(text)
    if named:
        with contextlib.suppress(Exception):  # it reads zip files only, and no damaged ones
            named = sorted(get_unsafe_globals_in_checkpoint(io.BytesIO(file_bytes))) or named
        more = f" and {len(named) - 4} more" if len(named) > 4 else ""
        return f"it also holds objects of {', '.join(name[:100] for name in named[:4])}{more}"
    lines = text.partition("WeightsUnpickler error: ")[2].splitlines() or text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "")
    reason = first.partition(". ")[0]  # what follows is advice on loading it unsafely
    if not file_bytes.startswith((b"PK", b"\x80")) or _NO_REASON.match(reason):
        return "it is damaged, or of another kind"  # the loader says only at which byte it gave up
    return reason


def exact_array(name: str, tensor: "torch.Tensor") -> np.ndarray[Any, Any]:
    """The values of a tensor, exactly, without a copy where numpy has its type; UserError names `name`."""
    import torch

    hint = "convert it to dense float32 before saving"
    if tensor.layout != torch.strided:
        raise UserError(f"{name} is a sparse tensor", hint)
    if tensor.is_meta:
        raise UserError(f"{name} has no values: it is on the device meta", "load the weights before saving")
    try:
        tensor = tensor.detach().resolve_conj().resolve_neg()  # of lazy views of other tensors
        # numpy has no bfloat16; float32 contains it
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        raise UserError(f"{name} is a {tensor.dtype} tensor that numpy cannot hold", hint) from error
