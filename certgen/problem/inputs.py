"""The inputs of a problem: which tokens can stand at each position, what they weigh, and all inputs in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationInfo, field_validator

from certgen.certificate.shapes import Natural
from certgen.problem.labels import IntArray
from certgen.problem.shapes import Index, Partial, misfit

Weights: TypeAlias = npt.NDArray[Any]  # int64, or Python integers where the sum of all does not fit


def _distinct(tokens: list[int]) -> list[int]:
    seen = set[int]()
    for token in tokens:
        if token in seen:
            raise misfit("", f"token {token} is there twice")
        seen.add(token)
    return tokens


def _ascending(text: str) -> str:
    first, last = map(int, text.split("-"))
    if first > last or last >= 1 << 31:
        raise misfit("", f"the range {text} has no tokens" if first > last else f"there is no token {last}")
    return text


_List = Annotated[list[Index], Field(min_length=1), AfterValidator(_distinct), Tag("<list>")]
_Range = Annotated[
    str, Field(pattern="^(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,9})$"), AfterValidator(_ascending), Tag("<range>")
]


class Entry(Partial):
    """What can stand at one position: a list of tokens, or one range such as 0-9, each of weight 1 unless given."""

    tokens: Annotated[_List | _Range, Discriminator(lambda given: "<range>" if isinstance(given, str) else "<list>")]
    weights: Annotated[list[Natural], Field(min_length=1)] | None = None

    @property
    def listed(self) -> Sequence[int]:
        """The tokens in the order of the file."""
        if isinstance(self.tokens, list):
            return self.tokens
        first, last = map(int, self.tokens.split("-"))
        return range(first, last + 1)

    @property
    def largest(self) -> int:
        """The largest of them."""
        return max(self.listed) if isinstance(self.tokens, list) else self.listed[-1]

    @field_validator("weights")
    @classmethod
    def _one_per_token(cls, weights: list[int], info: ValidationInfo) -> list[int]:
        if "tokens" in info.data:
            tokens = len(cls.model_construct(tokens=info.data["tokens"]).listed)
            if len(weights) != tokens:
                raise misfit("", f"there are {len(weights)} weights for {tokens} tokens")
            if not any(weights):
                raise misfit("", "all weights are 0: some token has to stand there")
        return weights

    def row(self, d_vocab: int) -> list[int]:
        """The weight of each token 0 to d_vocab - 1; all tokens of the entry must be among them."""
        row = [0] * d_vocab
        for token, weight in zip(self.listed, self.weights or [1] * len(self.listed), strict=True):
            row[token] = weight
        return row


class Weighted(NamedTuple):
    """Inputs: `tokens` [n, k], and the `weights` [n] of the inputs, exact."""

    tokens: IntArray
    weights: Weights


@dataclass(frozen=True, eq=False)
class Inputs:
    """The product of k positions; `rows` has the weight of each token 0 to d_vocab - 1 for each position.

    Only inputs of positive weight count. They are numbered in lexicographic order.
    """

    rows: Sequence[Sequence[int]]

    @cached_property
    def total(self) -> int:
        """The weight of all inputs."""
        return math.prod(map(sum, self.rows))

    @cached_property
    def weights(self) -> Weights:
        """[k, d_vocab]."""
        return np.array(self.rows, np.int64 if self.total < 1 << 63 else object)

    @cached_property
    def choices(self) -> list[list[int]]:
        """The tokens of positive weight at each position."""
        return [[token for token, weight in enumerate(row) if weight] for row in self.rows]

    @cached_property
    def number(self) -> int:
        """How many inputs there are."""
        return math.prod(map(len, self.choices))

    def range(self, start: int, stop: int) -> Weighted:
        """The inputs `start` <= i < `stop`; those outside 0 <= i < `number` do not exist and are left out."""
        start, stop = max(start, 0), min(stop, self.number)
        count = max(stop - start, 0)
        tokens = np.empty((count, len(self.rows)), np.int64)
        weights: Weights = np.ones(count, self.weights.dtype)
        # Counting upwards from `start`, whose digits may be those of a very large number; the carry stays small.
        carry = np.arange(count)
        for position in reversed(range(len(self.rows))):
            choices = np.array(self.choices[position])
            start, digit = divmod(start, len(choices))
            carry, digits = np.divmod(carry + digit, len(choices))
            tokens[:, position] = choices[digits]
            weights *= self.weights[position, tokens[:, position]]
        return Weighted(tokens, weights)
