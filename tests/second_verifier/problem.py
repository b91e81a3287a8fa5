"""Section 3: a problem, as a task or in a file. What it means is in tests/support/any_problem.py, read from the text."""

import re
from math import prod
from typing import Any

from tests.second_verifier.model_file import ModelFile
from tests.second_verifier.refusal import Refused, require
from tests.second_verifier.strict_json import Json, canonical, constant, integer, list_of, record, text
from tests.support.any_problem import Inputs, max_of_k

MOST_INPUTS = 1 << 14  # that are looked at one by one here; a larger problem is declined
PARAMETERS: dict[str, Any] = {
    "max": {},
    "min": {},
    "nth-largest": {"n": integer()},
    "argmax": {},
    "sum-mod": {"modulus": integer(1)},
    "contains": {"token": integer()},
    "first": {},
    "last": {},
    "majority": {},
    "automaton": {
        "states": integer(),
        "start": integer(),
        "next": list_of(list_of(integer())),
        "output": list_of(integer()),
    },
}


def tokens(value: Json, path: str) -> Json:
    if isinstance(value, str):
        found = re.fullmatch(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})", value, re.ASCII)
        require(found is not None and int(found[1]) <= int(found[2]), "bad-range", path)
        return value
    require(isinstance(value, list), "bad-range", path)
    return list_of(integer())(value, path)


def label(value: Json, path: str) -> Json:
    require(isinstance(value, dict), "wrong-type", path)
    require("name" in value, "missing-field", path)
    text(value["name"], f"{path}.name")
    require(value["name"] in PARAMETERS, "unsupported", f"{path}.name")
    return record({"name": text, **PARAMETERS[value["name"]]}, {"of": list_of(integer())})(value, path)


problem = record(
    {"inputs": list_of(record({"tokens": tokens}, {"weights": list_of(integer())})), "label": label},
    {"readout": integer()},
)


def task(value: Json, path: str) -> Json:
    """max-of-k has a name; another task is a problem."""
    if isinstance(value, dict) and "name" in value:
        return record({"name": constant("max-of-k", "unsupported"), "k": integer()})(value, path)
    return problem(value, path)


def require_fits(given: Json, model: ModelFile) -> None:
    """A problem of this model: `wrong-task` and `bad-automaton`."""
    v, n_ctx, k = model.extents["d_vocab"], model.extents["n_ctx"], len(given["inputs"])
    require(1 <= k <= n_ctx and k * v <= 1 << 24, "wrong-task", "inputs")
    named = 0
    for entry in given["inputs"]:
        if isinstance(entry["tokens"], str):
            first, last = map(int, entry["tokens"].split("-"))
            require(last < v, "wrong-task", "tokens")
            count = last - first + 1
        else:
            count = len(entry["tokens"])
            require(count == len(set(entry["tokens"])), "wrong-task", "tokens")
            require(all(0 <= token < v for token in entry["tokens"]), "wrong-task", "tokens")
        weights = entry.get("weights", [1] * count)
        require(len(weights) == count and all(w >= 0 for w in weights) and any(weights), "wrong-task", "weights")
        named += count
    total = prod(sum(weights.values()) for weights in Inputs(given).weights)
    require(named <= 1 << 22 and total < 10**4000, "wrong-task", "inputs")
    if model.architecture["pool"] == "none":
        require(0 <= given.get("readout", k - 1) < k, "wrong-task", "readout")
    else:
        require("readout" not in given, "wrong-task", "readout")
    require_label(given["label"], v, k)
    inputs = Inputs(given)
    require_few(inputs)
    for _, _, answer in inputs:
        require(0 <= answer < model.outputs, "wrong-task", "label")


def require_label(given: Json, v: int, k: int) -> None:
    of = given.get("of", list(range(k)))
    fits = bool(of) and all(0 <= p < k for p in of) and all(a < b for a, b in zip(of, of[1:], strict=False))
    require(fits, "wrong-task", "label.of")
    if given["name"] == "nth-largest":
        require(1 <= given["n"] <= len(of), "wrong-task", "label.n")
    if given["name"] == "contains":
        require(0 <= given["token"] < v, "wrong-task", "label.token")
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
