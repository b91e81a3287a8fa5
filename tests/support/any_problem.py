"""What a problem file means, in plain words of Python; shares no code with the product."""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

Json = dict[str, Any]
Tokens = tuple[int, ...]


def weights_at(entry: Json) -> dict[int, int]:
    """The tokens that can stand at a position, and what each weighs; those that weigh nothing are left out."""
    tokens = entry["tokens"]
    if isinstance(tokens, str):
        first, last = tokens.split("-")
        tokens = list(range(int(first), int(last) + 1))
    weights = entry.get("weights", [1] * len(tokens))
    return {token: weight for token, weight in zip(tokens, weights, strict=True) if weight}


def label_of(label: Json, tokens: Tokens) -> int:
    """The right output for an input."""
    positions = label.get("of", list(range(len(tokens))))
    read = [tokens[position] for position in positions]
    match label["name"]:
        case "max":
            return max(read)
        case "min":
            return min(read)
        case "nth-largest":
            return sorted(read, reverse=True)[label["n"] - 1]
        case "argmax":
            return min(position for position in positions if tokens[position] == max(read))
        case "sum-mod":
            return sum(read) % label["modulus"]
        case "contains":
            return 1 if label["token"] in read else 0
        case "first":
            return read[0]
        case "last":
            return read[-1]
        case "majority":
            most = max(Counter(read).values())
            return min(token for token, times in Counter(read).items() if times == most)
        case "automaton":
            state = label["start"]
            for token in read:
                state = label["next"][state][token]
            return label["output"][state]
    raise ValueError(label["name"])


def max_of_k(v: int, k: int) -> Json:
    """The old task as a problem."""
    return {"inputs": [{"tokens": f"0-{v - 1}"}] * k, "label": {"name": "max"}, "readout": k - 1}


class Inputs:
    """The inputs of a problem with the weight and the label of each."""

    def __init__(self, problem: Json) -> None:
        self.problem = problem
        self.weights = [weights_at(entry) for entry in problem["inputs"]]
        self.total = prod(sum(weights.values()) for weights in self.weights)

    def __iter__(self) -> Iterator[tuple[Tokens, int, int]]:
        for tokens in product(*(sorted(weights) for weights in self.weights)):
            weight = prod(weights[token] for weights, token in zip(self.weights, tokens, strict=True))
            yield tokens, weight, label_of(self.problem["label"], tokens)

    def readout(self, pooled: bool) -> int | None:
        """The position of the logits."""
        last: int = self.problem.get("readout", len(self.weights) - 1)
        return None if pooled else last
