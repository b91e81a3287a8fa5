"""What a model is trained for: a named task, and a format that says where its tokens stand among fixed ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from certgen.errors import UserError
from certgen.problem.labels import LABELS
from certgen.problem.problem_file import Problem

if TYPE_CHECKING:
    from torch import Generator, Tensor

CONTENT = "n"  # in a format


@dataclass(frozen=True)
class Exercise:
    """A problem with inputs that are uniform where they are not fixed, and the vocabulary of a model for it.

    `fixed` has the token of each position, None where the tokens 0 to `content` - 1 can stand; all tokens from
    `content` on are fixed ones. The answers are 0 to `outputs` - 1, read at the last position.
    """

    problem: Problem
    fixed: tuple[int | None, ...]
    content: int
    outputs: int

    @property
    def k(self) -> int:
        return len(self.fixed)

    @property
    def d_vocab(self) -> int:
        return max([self.content - 1, *(token for token in self.fixed if token is not None)]) + 1

    @cached_property
    def free(self) -> list[int]:
        """The positions that are not fixed."""
        return [position for position, token in enumerate(self.fixed) if token is None]

    @property
    def is_max_of_k(self) -> bool:
        """Is it what a certificate is about that has no problem file?"""
        return self.problem.label.name == "max" and len(self.free) == self.k

    @property
    def title(self) -> str:
        """Such as max-of-4 or sum-mod-7-of-2-in-4."""
        within = "" if len(self.free) == self.k else f"-in-{self.k}"
        return f"{self.problem.label.title.replace(' ', '-')}-of-{len(self.free)}{within}"

    def random_inputs(self, count: int, generator: Generator) -> Tensor:
        """Uniformly random inputs [count, k]."""
        import torch

        drawn = torch.randint(self.content, (count, len(self.free)), generator=generator)
        if len(self.free) == self.k:
            return drawn
        tokens = torch.tensor([token or 0 for token in self.fixed]).repeat(count, 1)
        tokens[:, self.free] = drawn
        return tokens

    def labels(self, tokens: Tensor) -> Tensor:
        """The right outputs [...] for inputs `tokens` [..., k]."""
        import torch

        return torch.from_numpy(self.problem.label.of_inputs(tokens.flatten(0, -2).numpy())).view(tokens.shape[:-1])


def max_of_k(k: int, d_vocab: int = 64) -> Exercise:
    """The exercise of which no option says anything."""
    return exercise("max", d_vocab, k, None, {})


def exercise(
    task: str, d_vocab: int, k: int | None, layout: str | None, parameters: Mapping[str, int | None]
) -> Exercise:
    """The exercise that options of `certgen train` describe: `task` names a label and `layout` is a format.

    `parameters` are the values of --n, --modulus and --token, None where they are not given. UserError when options
    are missing, too many, or do not fit together.
    """
    words = _words(layout, k)
    extra = {word: d_vocab + index for index, word in enumerate(dict.fromkeys(w for w in words if w != CONTENT))}
    fixed = tuple(extra.get(word) for word in words)
    free = [position for position, word in enumerate(words) if word == CONTENT]
    label = {"name": task, **_parameter(task, parameters, len(free), d_vocab)}
    if len(free) < len(words):
        label["of"] = free
    content = {"tokens": f"0-{d_vocab - 1}"}
    entries = [content if token is None else {"tokens": [token]} for token in fixed]
    outputs = {"argmax": len(words), "sum-mod": parameters.get("modulus"), "contains": 2}.get(task) or d_vocab
    return Exercise(Problem.model_validate({"inputs": entries, "label": label}), fixed, d_vocab, outputs)


def _words(layout: str | None, k: int | None) -> list[str]:
    """What stands at each position: the words of a format, or k times `CONTENT`."""
    if layout is None:
        if k is None:
            raise UserError("neither --k nor --format is given", "give the number of tokens, for example --k 4")
        return [CONTENT] * k
    words = layout.split()
    for word in words:
        if word != CONTENT and not re.fullmatch("[A-Z][A-Z0-9_]*", word):
            hint = 'write n for a token and capitals for a separator, for example "BOS n SEP n ANS"'
            raise UserError(f"--format: cannot read {word!r}", hint)
    if CONTENT not in words:
        raise UserError(f"--format {layout!r} has no n", 'write one n for each token, for example "BOS n SEP n ANS"')
    if k not in (None, words.count(CONTENT)):
        message = f"--k is {k}, and --format has n {words.count(CONTENT)} times"
        raise UserError(message, "leave out --k, or correct one of them")
    return words


def _parameter(task: str, given: Mapping[str, int | None], count: int, d_vocab: int) -> dict[str, int]:
    """The field of the label that goes with its name, checked; none for most tasks."""
    wanted = LABELS[task].parameter
    for name, number in given.items():
        if number is not None and name != wanted:
            raise UserError(f"--{name} has no meaning for --task {task}", f"leave out --{name}, or choose another task")
    if wanted is None:
        return {}
    value = given.get(wanted)
    if value is None:
        raise UserError(f"--task {task} needs --{wanted}", f"add --{wanted} with a number")
    least, largest = {"n": (1, count), "token": (0, d_vocab - 1)}.get(wanted, (1, value))
    if not least <= value <= largest:
        raise UserError(f"--{wanted} is {value}, which no input has", f"choose it from {least} to {largest}")
    return {wanted: value}
