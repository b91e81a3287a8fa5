"""The named tasks, and automata: which output is right for an input.

A label reads the tokens at some of the positions, from left to right. Each class says twice what the answer is: for
many inputs at once, and which is the largest answer that inputs made of given tokens can have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from certgen.problem.shapes import Index, Partial, Size, misfit

IntArray: TypeAlias = npt.NDArray[np.int64]
Positions: TypeAlias = Annotated[list[Index], Field(min_length=1)]


class Label(Partial):
    """A task; without `of`, it reads all positions."""

    parameter: ClassVar[str | None] = None  # the field that belongs to the name of the task

    name: str
    of: Positions | None = None

    @property
    def title(self) -> str:
        """The task in a sentence, such as nth-largest 2."""
        return f"{self.name} {getattr(self, self.parameter)}" if self.parameter else self.name

    def positions(self, k: int) -> list[int]:
        """The positions that are read, of k."""
        return list(range(k)) if self.of is None else self.of

    def require(self, k: int) -> None:
        """misfit unless the label can read inputs of k tokens."""
        for left, right in zip(self.positions(k), self.positions(k)[1:], strict=False):
            if left >= right:
                raise misfit("label.of", f"position {right} comes after {left}: write positions in increasing order")
        if self.positions(k)[-1] >= k:
            raise misfit("label.of", f"there is no position {self.positions(k)[-1]}: they are 0 to {k - 1}")

    def require_tokens(self, d_vocab: int) -> None:
        """misfit unless the label can read the tokens 0 to d_vocab - 1."""

    def of_inputs(self, tokens: IntArray) -> IntArray:
        """The right outputs [n] for inputs `tokens` [n, k]."""
        positions = self.positions(tokens.shape[1])
        return self.answers(tokens[:, positions], positions)

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        """The right outputs [n] for the tokens `read` [n, m] at the m `positions`."""
        raise NotImplementedError

    @property
    def initial(self) -> Any:
        """The state of the label's automaton before the first token; hashable, as all states are."""
        raise NotImplementedError

    def step(self, state: Any, position: int, token: int) -> Any:
        """The state after a token at a position that the label reads."""
        raise NotImplementedError

    def answer(self, state: Any) -> int:
        """The right output if the automaton ends in this state."""
        return int(state)

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        """The largest answer over all ways to choose a token of each of the m `choices`, ascending lists."""
        raise NotImplementedError


class Max(Label):
    """The largest token."""

    name: Literal["max"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = read.max(axis=1)
        return answers

    @property
    def initial(self) -> int:
        return -1

    def step(self, state: int, position: int, token: int) -> int:
        return max(state, token)

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return max(tokens[-1] for tokens in choices)


class Min(Label):
    """The smallest token."""

    name: Literal["min"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = read.min(axis=1)
        return answers

    @property
    def initial(self) -> int:
        return 1 << 62

    def step(self, state: int, position: int, token: int) -> int:
        return min(state, token)

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return min(tokens[-1] for tokens in choices)


class NthLargest(Label):
    """The n-th largest token, counting repeats."""

    parameter = "n"

    name: Literal["nth-largest"]
    n: Size

    def require(self, k: int) -> None:
        super().require(k)
        if self.n > len(self.positions(k)):
            raise misfit("label.n", f"there is no {self.n}-th largest of {len(self.positions(k))} tokens")

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = np.sort(read, axis=1)[:, -self.n]
        return answers

    @property
    def initial(self) -> tuple[int, ...]:
        return ()

    def step(self, state: tuple[int, ...], position: int, token: int) -> tuple[int, ...]:
        return tuple(sorted((*state, token))[-self.n :])

    def answer(self, state: tuple[int, ...]) -> int:
        return state[0]

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return sorted(tokens[-1] for tokens in choices)[-self.n]


class Argmax(Label):
    """The position of the first largest token."""

    name: Literal["argmax"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = np.asarray(positions, np.int64)[read.argmax(axis=1)]
        return answers

    @property
    def initial(self) -> tuple[int, int]:
        return (-1, 0)

    def step(self, state: tuple[int, int], position: int, token: int) -> tuple[int, int]:
        return (token, position) if token > state[0] else state

    def answer(self, state: tuple[int, int]) -> int:
        return state[1]

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        least = [tokens[0] for tokens in choices]
        return max(
            position
            for index, position in enumerate(positions)
            if max(least[:index], default=-1) < choices[index][-1] >= max(least[index:])
        )


class SumMod(Label):
    """The sum of the tokens, modulo a number."""

    parameter = "modulus"

    name: Literal["sum-mod"]
    modulus: Size

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = read.sum(axis=1) % self.modulus
        return answers

    @property
    def initial(self) -> int:
        return 0

    def step(self, state: int, position: int, token: int) -> int:
        return (state + token) % self.modulus

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        sums = 1  # bit s is set when s can be the sum
        for tokens in choices:
            longer = 0
            for token in tokens:
                longer |= sums << token
            sums = 0
            while longer:
                sums |= longer & ((1 << self.modulus) - 1) if longer >> self.modulus else longer
                longer >>= self.modulus
        return sums.bit_length() - 1


class Contains(Label):
    """1 if a certain token occurs, else 0."""

    parameter = "token"

    name: Literal["contains"]
    token: Index

    def require_tokens(self, d_vocab: int) -> None:
        if self.token >= d_vocab:
            raise misfit("label.token", f"there is no token {self.token}: they are 0 to {d_vocab - 1}")

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        answers: IntArray = (read == self.token).any(axis=1).astype(np.int64)
        return answers

    @property
    def initial(self) -> bool:
        return False

    def step(self, state: bool, position: int, token: int) -> bool:
        return state or token == self.token

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return int(any(self.token in tokens for tokens in choices))


class First(Label):
    """The token at the first of the positions."""

    name: Literal["first"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        return read[:, 0].copy()

    @property
    def initial(self) -> int:
        return -1

    def step(self, state: int, position: int, token: int) -> int:
        return token if state < 0 else state

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return choices[0][-1]


class Last(Label):
    """The token at the last of the positions."""

    name: Literal["last"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        return read[:, -1].copy()

    @property
    def initial(self) -> int:
        return -1

    def step(self, state: int, position: int, token: int) -> int:
        return token

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        return choices[-1][-1]


class Majority(Label):
    """The token that occurs most often, the smallest of several."""

    name: Literal["majority"]

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        counts = np.zeros(read.shape, np.int64)
        for column in range(read.shape[1]):
            counts += read == read[:, column : column + 1]
        often = counts == counts.max(axis=1, keepdims=True)
        answers: IntArray = np.where(often, read, np.iinfo(np.int64).max).min(axis=1)
        return answers

    @property
    def initial(self) -> tuple[int, ...]:
        return ()

    def step(self, state: tuple[int, ...], position: int, token: int) -> tuple[int, ...]:
        return tuple(sorted((*state, token)))

    def answer(self, state: tuple[int, ...]) -> int:
        return min(state, key=lambda t: (-state.count(t), t))

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        tokens = sorted({token for tokens in choices for token in tokens}, reverse=True)
        return next(token for token in tokens if _can_be_most_frequent(token, choices))


def _can_be_most_frequent(token: int, choices: Sequence[Sequence[int]]) -> bool:
    """Can `token` be the majority? It helps to choose it wherever it can be chosen.

    The other positions are matched with other tokens, each used so rarely that it does not win: an augmenting path
    for each position, as in bipartite matching.
    """
    others = [tokens for tokens in choices if token not in tokens]
    count = len(choices) - len(others)
    users: dict[int, list[int]] = {}

    def place(index: int, tried: set[int]) -> bool:
        for other in others[index]:
            if other in tried:
                continue
            tried.add(other)
            chosen = users.setdefault(other, [])
            if len(chosen) < count - (other < token):
                chosen.append(index)
                return True
            for number, user in enumerate(chosen):
                if place(user, tried):
                    chosen[number] = index
                    return True
        return False

    return all(place(index, set()) for index in range(len(others)))


class Automaton(Label):
    """What a finite automaton says that reads the tokens: `next` has a state for each state and token."""

    name: Literal["automaton"]
    states: Size
    start: Index
    next: list[list[Index]]
    output: list[Index]

    @property
    def title(self) -> str:
        return f"automaton of {self.states} states"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for field, length in (("next", len(self.next)), ("output", len(self.output))):
            if length != self.states:
                raise misfit(field, f"it has {length} entries, and the automaton has {self.states} states")
        if self.start >= self.states:
            raise misfit("start", f"there is no state {self.start}: they are 0 to {self.states - 1}")
        for state, row in enumerate(self.next):
            if max(row, default=0) >= self.states:
                raise misfit(f"next[{state}]", f"there is no state {max(row)}: they are 0 to {self.states - 1}")
        return self

    def require_tokens(self, d_vocab: int) -> None:
        for state, row in enumerate(self.next):
            if len(row) != d_vocab:
                raise misfit(f"label.next[{state}]", f"it has {len(row)} entries, and there are {d_vocab} tokens")

    @cached_property
    def _following(self) -> IntArray:
        return np.array(self.next, np.int64)

    def answers(self, read: IntArray, positions: Sequence[int]) -> IntArray:
        states = np.full(len(read), self.start)
        for tokens in read.T:
            states = self._following[states, tokens]
        answers: IntArray = np.array(self.output, np.int64)[states]
        return answers

    @property
    def initial(self) -> int:
        return self.start

    def step(self, state: int, position: int, token: int) -> int:
        return self.next[state][token]

    def answer(self, state: int) -> int:
        return self.output[state]

    def largest(self, choices: Sequence[Sequence[int]], positions: Sequence[int]) -> int:
        reached = np.array([self.start])
        for tokens in choices:
            reached = np.unique(self._following[reached][:, tokens])
        return max(self.output[int(state)] for state in reached)


Named: TypeAlias = Max | Min | NthLargest | Argmax | SumMod | Contains | First | Last | Majority | Automaton
AnyLabel: TypeAlias = Annotated[Named, Field(discriminator="name")]
LABELS: Mapping[str, type[Label]] = MappingProxyType(
    {get_args(label.model_fields["name"].annotation)[0]: label for label in get_args(Named)}
)
