"""The model as a function, in float64: what a certificate is about, up to rounding."""

import numpy as np
import numpy.typing as npt

from certgen.errors import UserError
from certgen.models.model_file import Model

_CHUNK = 4_096  # sequences at a time: bounds the memory, not the result


def logits(model: Model, sequences: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The logits [n, d_vocab] at the last position of each of `sequences` [n, k], which hold tokens.

    UserError when they are not sequences of k = n_ctx tokens of this model, or when float64 overflows.
    """
    tokens = np.asarray(sequences)
    k, v = model.n_ctx, model.d_vocab
    if tokens.ndim != 2 or tokens.shape[1] != k:
        count = "1 token" if tokens.shape[-1:] == (1,) else f"{tokens.shape[-1] if tokens.ndim else 0} tokens"
        given = count if tokens.ndim == 2 else f"shape {list(tokens.shape)}"
        raise UserError(f"{given} given, and the model takes sequences of {k}", f"for each sequence give {k}")
    if tokens.dtype.kind not in "iu":
        raise UserError(f"the tokens have dtype {tokens.dtype}", "give integers")
    outside = tokens[(tokens < 0) | (tokens >= v)]
    if outside.size:
        raise UserError(f"there is no token {outside[0]}", f"tokens are from 0 to {v - 1}")
    with np.errstate(all="ignore"):
        chunks = [_logits(model, tokens[start : start + _CHUNK]) for start in range(0, len(tokens), _CHUNK)]
    found = np.concatenate(chunks) if chunks else np.zeros((0, v))
    if not np.isfinite(found).all():
        raise UserError("the logits overflow float64", "the weights are too large for this; proofs use exact numbers")
    return found


def _logits(model: Model, tokens: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    residual = model.W_E[tokens] + model.W_pos
    query = residual[:, -1] @ model.W_Q + model.b_Q
    keys = residual @ model.W_K + model.b_K
    scores = np.einsum("nkh,nh->nk", keys, query) / np.sqrt(model.d_head)
    attention = np.exp(scores - scores.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    attended = np.einsum("nk,nkh->nh", attention, residual @ model.W_V + model.b_V)
    found: npt.NDArray[np.float64] = (residual[:, -1] + attended @ model.W_O + model.b_O) @ model.W_U + model.b_U
    return found
