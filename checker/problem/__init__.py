"""What a proof is about: one model, weights for its inputs, their labels, a margin; and what checking it may cost."""

import hashlib
import json
from copy import copy
from functools import cache, cached_property
from itertools import accumulate
from math import prod
from operator import mul

from checker.budget import Budget, Cost, number, product
from checker.decode import MAX_DIGITS
from checker.errors import Rejected, located, show
from checker.model.attention import Attention
from checker.model.circuits import Circuits
from checker.model.forward import work
from checker.model.one_layer import OneLayer
from checker.model.sizes import Sizes
from checker.model.weights import Weights
from checker.problem.labels import Task, label_of, tables_of
from checker.problem.problem_file import Position, ProblemFile, Stated

MAX_WEIGHTS = 1 << 24  # of all tokens at all positions, 0 included: so many numbers stand in the normal form


class Problem:
    """One problem of one model. The margin is the fraction numerator / denominator.

    k positions; `choices[p]` maps each token that can stand at position p to its weight, which is positive; `total` is
    the weight of all inputs. The logits are read at position `readout`, or pooled if it is None. The query of an input
    is its token at `query_position`.
    """

    def __init__(self, weights: Weights, stated: Stated, margin: tuple[int, int], budget: int) -> None:
        self.weights, self.margin, self.budget = weights, margin, Budget(budget)
        self.v, self.stated = weights.sizes["d_vocab"], stated
        pooled = weights.architecture.pool != "none"
        any_token = Position(range(self.v), None)
        if isinstance(stated, int):
            if stated != weights.sizes["n_ctx"] or pooled or self.outputs != self.v:
                expected = f"{show(weights.sizes['n_ctx'])}, an output for each token, and no pooling"
                raise Rejected("wrong-task", "k", expected, show(stated))
            stated = ProblemFile((any_token,) * stated, Task("max", {}, None), None)
        self.k = len(stated.positions)
        if not 0 < self.k <= weights.sizes["n_ctx"]:
            raise Rejected("wrong-task", "inputs", f"1 to {show(weights.sizes['n_ctx'])} positions", show(self.k))
        if self.k * self.v > MAX_WEIGHTS:
            raise Rejected("wrong-task", "inputs", f"at most {MAX_WEIGHTS} weights of tokens", str(self.k * self.v))
        places = sum([0 if position is any_token else len(position.tokens) for position in stated.positions])
        cells = self.k * self.v
        memory = 160 * places + 40 * cells
        self.budget.charge([Cost(f"{places} tokens and {cells} weights of inputs", 0, memory, "inputs")])
        self.choices: list[dict[int, int]] = []
        for p, position in enumerate(stated.positions):
            with located(f"inputs[{p}]"):
                repeated = p > 0 and position is any_token
                self.choices.append(self.choices[-1] if repeated else choices_of(position, self.v))
        self.total, most = 1, 10**MAX_DIGITS
        for row in self.choices:
            self.total *= sum(row.values())
            if self.total >= most:  # before numbers grow that no certificate can state
                raise Rejected("wrong-task", "inputs", f"a weight of all inputs of at most {MAX_DIGITS} digits")
        self.readout = None if pooled else self.k - 1 if stated.readout is None else stated.readout
        if not 0 <= (self.readout or 0) < self.k or (pooled and stated.readout is not None):
            raise Rejected("wrong-task", "readout", "none: it pools" if pooled else f"0 to {self.k - 1}")
        self.query_position = self.k - 1 if self.readout is None else self.readout
        self.task, self.of = stated.task, stated.task.of or tuple(range(self.k))
        if stated.task.of == () or list(self.of) != sorted(set(self.of)) or not 0 <= self.of[0] <= self.of[-1] < self.k:
            raise Rejected("wrong-task", "label.of", f"increasing positions from 0 to {self.k - 1}")
        with located("label"):
            self.label = label_of(stated.task, self.of, self.v)
        self.states = cache(lambda: tables_of(self.label, self.choices, self.budget))
        self.one_layer = cache(self.read_layer)  # one for each precision, as long as the check lasts
        self.one_head = cache(lambda: Attention(Circuits(weights)))
        self.of_one_head = cache(lambda: Sizes(weights))

    def at(self, margin: tuple[int, int]) -> "Problem":
        """The same with this margin; what does not depend on it is shared."""
        other = copy(self)
        other.margin = margin
        return other

    @property
    def outputs(self) -> int:
        """How many logits there are."""
        return len(self.weights.tensors["unembed.b_U"].rows[0])

    @property
    def passes(self) -> int:
        """How many positions are evaluated along the trie of prefixes, and inputs looked at."""
        numbers = [len(row) for row in self.choices]
        if self.weights.architecture.mask == "full":
            return self.k * prod(numbers)
        last = self.k if self.readout is None else self.readout + 1
        prefixes: list[int] = list(accumulate(numbers[:last], mul))
        return sum(prefixes) + prod(numbers)

    @cached_property
    def is_max_of_k(self) -> bool:
        """The uniform task max-of-k with k = n_ctx, on one attention-only block with one head."""
        uniform = all(list(row.values()) == [1] * self.v for row in self.choices)
        whole = self.k == self.weights.sizes["n_ctx"] and self.readout == self.k - 1
        return self.weights.entry is None and uniform and whole and self.task.name == "max" and len(self.of) == self.k

    @property
    def circuits(self) -> Circuits:
        """The exact tables of the one head."""
        return self.attention.circuits

    @property
    def attention(self) -> Attention:
        """The attention weights of the one head."""
        return self.one_head()

    @property
    def sizes(self) -> Sizes:
        """What these take."""
        return self.of_one_head()

    def label_tables(self) -> list[dict[int, tuple[int, ...]]]:
        """[p][t][state]: the state that follows. All that it takes to make them is spent by whoever asks first."""
        tables, operations = self.states()
        self.budget.spend(operations, "states")
        return tables

    @property
    def unit(self) -> int:
        """Operations of a product of two weights of inputs."""
        return product(bits := self.total.bit_length(), bits)

    def layer_cost(self, bits: int) -> Cost:
        """Of tables of a model with one attention layer, whatever its heads: all values, all weights of any query."""
        places, heads = sum(map(len, self.choices)), self.weights.architecture.heads
        asked = len(self.choices[self.query_position])
        each = work(self.weights, self.k, bits)
        features = self.outputs + self.weights.sizes.get("d_mlp", 0)
        memory = places * heads * (asked * (180 + 2 * number(bits)) + features * number(bits))
        what = f"{places} tokens at all positions, {each} operations for each, for {asked} queries"
        return Cost(what, (places + places * self.v // self.k) * each, memory, (bits, "layer"))

    def read_layer(self, bits: int) -> OneLayer:
        """These tables."""
        return OneLayer(self.weights, self.choices, self.readout, bits)

    def margin_upper(self, exponent: int) -> int:
        """The margin rounded up to a multiple of 2^exponent."""
        numerator, denominator = self.margin
        return -(-(numerator << max(-exponent, 0)) // (denominator << max(exponent, 0)))

    @property
    def text(self) -> str:
        """The task in words, such as max-of-4, or max of 5 in 11 positions."""
        if isinstance(self.stated, int):
            return f"max-of-{self.k}"
        args, read = self.task.args, len(self.of)
        if self.task.name == "automaton":
            reading = f"in {self.k}" if read == self.k else f"reading {read} of {self.k}"
            return f"automaton of {args['states']} states {reading} positions"
        words = [self.task.name, *map(str, args.values()), *[f"of {read}"] * (read < self.k), f"in {self.k} positions"]
        return " ".join(words)

    @property
    def normal(self) -> str:
        """The problem in its normal form, canonical JSON: equal for all files that state the same."""
        inputs = [[row.get(token, 0) for token in range(self.v)] for row in self.choices]
        label = {"name": self.task.name, **self.task.args, "of": self.of}
        normal = {"inputs": inputs, "label": label, "readout": self.readout}
        return json.dumps(normal, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str | None:
        """SHA-256 of the normal form; None for a task that is named alone."""
        return None if isinstance(self.stated, int) else hashlib.sha256(self.normal.encode()).hexdigest()


def choices_of(position: Position, v: int) -> dict[int, int]:
    """Token -> positive weight, of distinct tokens of the model with natural weights that are not all 0."""
    tokens, weights = position
    if not tokens or not 0 <= min(tokens) <= max(tokens) < v or len(set(tokens)) < len(tokens):
        raise Rejected("wrong-task", "tokens", f"distinct tokens from 0 to {v - 1}")
    weights = (1,) * len(tokens) if weights is None else weights
    if len(weights) != len(tokens) or min(weights) < 0 or not any(weights):
        raise Rejected("wrong-task", "weights", "natural numbers, one for each token, and not all 0")
    return {token: weight for token, weight in sorted(zip(tokens, weights, strict=True)) if weight}
