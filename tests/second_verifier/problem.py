"""Section 3: a problem, as a task or in a file. What it means is in tests/support/any_problem.py."""

import re
from itertools import pairwise
from math import prod
from typing import Any

from tests.second_verifier.model_file import ModelFile
from tests.second_verifier.refusal import Refused, require
from tests.second_verifier.strict_json import Json, canonical, constant, integer, list_of, record, text
from tests.support.any_problem import Inputs, max_of_k

MOST_INPUTS = 1 << 14  # that are looked at one by one here; a larger problem is declined
LARGE = 1 << 64
PARAMETERS: dict[str, Any] = {
    "max": {},
    "min": {},
    "nth-largest": {"n": integer(1, LARGE)},
    "argmax": {},
    "sum-mod": {"modulus": integer(1, LARGE)},
    "contains": {"token": integer(0, LARGE)},
    "first": {},
    "last": {},
    "majority": {},
    "automaton": {
        "states": integer(1, LARGE),
        "start": integer(0, LARGE),
        "next": list_of(list_of(integer())),
        "output": list_of(integer()),
    },
}


def tokens(value: Json, path: str) -> Json:
    if isinstance(value, str):
        found = re.fullmatch(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})", value, re.ASCII)
        require(found is not None and int(found[1]) <= int(found[2]), "bad-range", path)
        return value
    return list_of(integer())(value, path)


def label(value: Json, path: str) -> Json:
    require(isinstance(value, dict), "wrong-type", path)
    text(value.get("name"), f"{path}.name")
    require(value["name"] in PARAMETERS, "unsupported", f"{path}.name")
    return record({"name": text, **PARAMETERS[value["name"]]}, {"of": list_of(integer())})(value, path)


def inputs(value: Json, path: str) -> Json:
    list_of(record({"tokens": tokens}, {"weights": list_of(integer())}))(value, path)
    require(sum(named(entry["tokens"]) for entry in value) <= 1 << 22, "too-large", path)
    return value


def named(given: Json) -> int:
    """How many tokens."""
    if isinstance(given, str):
        first, last = map(int, given.split("-"))
        return last - first + 1
    return len(given)


problem = record({"inputs": inputs, "label": label}, {"readout": integer()})


def task(value: Json, path: str) -> Json:
    """max-of-k has a name; another task is a problem."""
    if isinstance(value, dict) and "name" in value:
        return record({"name": constant("max-of-k", "unsupported"), "k": integer()})(value, path)
    return problem(value, path)


def fitting(given: Json, model: ModelFile) -> Json:
    """A problem of this model, max-of-k written out; or `wrong-task`, `bad-automaton`."""
    if "name" in given:
        v, k = model.extents["d_vocab"], model.extents["n_ctx"]
        fits = given["k"] == k and model.outputs == v and model.architecture["pool"] == "none"
        require(fits, "wrong-task", "task.k")
        given = max_of_k(v, k)
    require_fits(given, model)
    return given


def require_fits(given: Json, model: ModelFile) -> None:
    v, n_ctx, k = model.extents["d_vocab"], model.extents["n_ctx"], len(given["inputs"])
    require(1 <= k <= n_ctx and k * v <= 1 << 24, "wrong-task", "inputs")
    for entry in given["inputs"]:
        count = named(entry["tokens"])
        if isinstance(entry["tokens"], str):
            require(int(entry["tokens"].split("-")[1]) < v, "wrong-task", "tokens")
        else:
            require(count == len(set(entry["tokens"])), "wrong-task", "tokens")
            require(all(0 <= token < v for token in entry["tokens"]), "wrong-task", "tokens")
        weights = entry.get("weights", [1] * count)
        require(len(weights) == count and all(w >= 0 for w in weights) and any(weights), "wrong-task", "weights")
    total = prod(sum(weights.values()) for weights in Inputs(given).weights)
    require(total < 10**4000, "wrong-task", "inputs")
    if model.architecture["pool"] == "none":
        require(0 <= given.get("readout", k - 1) < k, "wrong-task", "readout")
    else:
        require("readout" not in given, "wrong-task", "readout")
    require_label(given["label"], v, k)
    require_few(Inputs(given))


def require_label(given: Json, v: int, k: int) -> None:
    of = given.get("of", list(range(k)))
    fits = bool(of) and all(0 <= p < k for p in of) and all(a < b for a, b in pairwise(of))
    require(fits, "wrong-task", "label.of")
    if given["name"] == "nth-largest":
        require(1 <= given["n"] <= len(of), "wrong-task", "label.n")
    if given["name"] == "automaton":
        states = range(given["states"])
        fits = len(given["next"]) == len(given["output"]) == len(states) and given["start"] in states
        fits = fits and all(len(row) == v and all(s in states for s in row) for row in given["next"])
        require(fits, "bad-automaton", "label")


def require_few(inputs: Inputs) -> None:
    if prod(len(weights) for weights in inputs.weights) > MOST_INPUTS:
        raise Refused("over-budget", "task")


def normal_form(given: Json, model: ModelFile) -> str:
    """Problems are the same if these are."""
    k, weights = len(given["inputs"]), Inputs(given).weights
    rows = [[of_position.get(t, 0) for t in range(model.extents["d_vocab"])] for of_position in weights]
    read = given.get("readout", k - 1) if model.architecture["pool"] == "none" else None
    return canonical({"inputs": rows, "label": {"of": list(range(k)), **given["label"]}, "readout": read})


def is_max_of_k(given: Json, model: ModelFile) -> bool:
    """Of one head, and in whatever words."""
    v, k = model.extents["d_vocab"], model.extents["n_ctx"]
    return model.plain and normal_form(given, model) == normal_form(max_of_k(v, k), model)
