"""Accepted certificates of every strategy, each with its model: what is mutated."""

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import certgen
from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from tests.support.any_problem import Json, max_of_k
from tests.support.checking import PLAIN
from tests.support.corpus import FILES, content, model_of
from tests.support.fitted import fitted_case
from tests.support.generators import TinyModel, trained_looking
from tests.support.random_problems import problem_of

THREE: Json = {"inputs": [{"tokens": "0-2"}] * 3, "label": {"name": "min"}, "readout": 2}
ZIPF: Json = {
    "inputs": [{"tokens": "0-2", "weights": [3, 2, 1]}] * 2,
    "label": {"name": "sum-mod", "modulus": 2},
    "readout": 0,
}
PRE: Json = {"normalization": "LN", "norms": ["pre"], "eps": "1/100000"}
FINAL: Json = {"normalization": "LNPre", "norms": ["final"], "eps": "1/16"}
SLOW = ("4096-bits", "smallest-step", "8-precisions", "8-bits-then-more", "post-mean", "two-blocks--profile")
"""Files of the corpus of which a check takes longer than a tenth of a second."""


class Subject(NamedTuple):
    """A certificate that is accepted, as JSON and as bytes, and the bytes of its model."""

    name: str
    statement: Json
    model: bytes

    @property
    def data(self) -> bytes:
        return json.dumps(self.statement).encode()


def small_model(seed: int) -> TinyModel:
    """Two or three tokens and positions: thousands of checks take seconds."""
    return trained_looking(seed, most_tokens=3, longest=3)


def of_strategies(folder: Path, seeds: list[int]) -> Iterator[Subject]:
    """One certificate of every strategy for each of these small models, at one of several margins."""
    for seed in seeds:
        model, margin = small_model(seed), [Fraction(0), Fraction(1, 3), Fraction(1, 64)][seed % 3]
        path = model.write(folder / f"model-{seed}")
        question = ask(path, None, margin)
        for name, strategy in STRATEGIES.items():
            proof = strategy.prove(question, quiet)
            yield Subject(f"{name} of model {seed}", json.loads(proof.to_bytes()), path.read_bytes())


def of_options(folder: Path, seeds: list[int]) -> Iterator[Subject]:
    """With both bounds; at several margins, with the mean loss."""
    for seed in seeds:
        path = small_model(seed).write(folder / f"model-{seed}")
        options: dict[str, dict[str, Any]] = {"adaptive --both": {"strategy": "adaptive", "both": True}}
        options |= {f"{name} --margins": {"strategy": name, "margins": ["-1", "1/7"]} for name in (*PLAIN, "adaptive")}
        for name, given in options.items():
            proof = certgen.prove(path, **given)
            yield Subject(f"{name} of model {seed}", json.loads(proof.to_bytes()), path.read_bytes())


def of_other_models(folder: Path) -> Iterator[Subject]:
    """Two heads, MLPs, LayerNorm, other tasks than max-of-k, weights."""
    kinds: list[tuple[Json, Json, list[str]]] = [
        (THREE, {"heads": 2}, []),
        (THREE, {"heads": 2, "activation": "relu"}, []),
        (ZIPF, {"heads": 2, "activation": "silu"}, ["-1", "1/5"]),
        (THREE | {"label": {"name": "contains", "token": 1}}, {"mask": "full", **PRE}, []),
        (max_of_k(3, 3), {"heads": 2, **FINAL}, []),
    ]
    for number, (problem, given, margins) in enumerate(kinds):
        case = fitted_case(3, problem, v=3, outputs=3, d=5, **given)
        path = case.write(folder / f"other-{number}")
        for name in ("regions", "separable", "adaptive", "brute-force"):
            proof = certgen.prove(path, name, problem=problem_of(problem), margin=case.margin, margins=margins)
            yield Subject(f"{name} of {path.name}", json.loads(proof.to_bytes()), path.read_bytes())


def of_corpus() -> Iterator[Subject]:
    """What tests/certificates accepts, but for the few that take long."""
    for path in FILES:
        if path.parent.name == "accept" and not any(word in path.name for word in SLOW):
            yield Subject(path.name, json.loads(content(path)), model_of(path).read_bytes())


def subjects(folder: Path, models: int = 1) -> list[Subject]:
    """All of them. Every strategy proves so many models."""
    seeds = [7, 0, 10, 9, 4, 6][:models]
    found = [*of_strategies(folder, seeds), *of_options(folder, seeds), *of_other_models(folder), *of_corpus()]
    return found
