"""What a problem is put to, when only the sizes of the model matter."""

from functools import cache
from typing import Literal

import numpy as np

from certgen.models.architecture import Architecture
from certgen.models.model_file import Model, model_bytes, parse_model


@cache
def sizes(
    n_ctx: int, d_vocab: int, d_vocab_out: int | None = None, pool: Literal["none", "sum", "mean"] = "none"
) -> Model:
    """A model of these sizes, without blocks; it has as many outputs as tokens unless given."""
    architecture = Architecture.default(1).model_copy(update={"blocks": 0, "pool": pool})
    found = {"d_vocab": d_vocab, "n_ctx": n_ctx, "d_model": 1, "d_vocab_out": d_vocab_out or d_vocab}
    shapes = architecture.tensor_shapes().items()
    tensors = {name: np.zeros([found[axis] for axis in axes], np.float16) for name, axes in shapes}
    return parse_model(model_bytes(tensors, architecture), "zeros.safetensors")
