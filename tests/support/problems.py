"""What a problem is put to, when only the sizes of the model matter."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pooling:
    pool: str = "none"


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model."""

    sizes: dict[str, int]
    architecture: Pooling


def sizes(n_ctx: int, d_vocab: int, d_vocab_out: int | None = None, pool: str = "none") -> Sizes:
    """A model of these sizes; with as many outputs as tokens unless given."""
    found = {"d_vocab": d_vocab, "n_ctx": n_ctx}
    return Sizes(found if d_vocab_out is None else {**found, "d_vocab_out": d_vocab_out}, Pooling(pool))
