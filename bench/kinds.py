"""Kinds of small models beside brute force: python bench/kinds.py [FOLDER].

Trains 5 models of each kind into FOLDER (out/kinds by default), proves and checks each by every strategy for models
with one attention layer and by brute force, and looks at what the proofs are made of. Keeps what it finds in
docs/assets: kinds.csv (a row per proof), kinds-labels.csv (per model and label), kinds-heads.csv (per model and head).
Rows that are there are not made again. Times are processor seconds. What checking brute force takes depends on the
sizes of a model, hardly on its weights: it is measured for one model of each kind, on the inputs that begin with one of
two tokens, and multiplied. How many inputs are correct is counted in numpy.
"""

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from certgen import Certificate, load_model, prove
from certgen.certificate.arguments import HintArgs
from certgen.certificate.facts import RegionGaps, Regions, Tally
from certgen.certificate.proof import needed_budget
from certgen.counts.evaluation import Question
from certgen.length import proof_length
from certgen.models.exercises import Exercise, exercise
from certgen.models.forward import FloatArray
from certgen.models.model_file import save_model
from certgen.models.training import Recipe, train
from certgen.problem.problem_file import Problem
from certgen.proving import ask
from certgen.regions.automata import Automaton
from certgen.regions.gaps import Gaps
from certgen.regions.paths import Group, regions_of
from certgen.regions.tables import OneLayer
from certgen.strategies.by_regions import PRECISIONS
from checker import check
from checker.arithmetic.packing import members

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "docs" / "assets"
PROOFS = (
    *("kind", "seed", "strategy", "correct", "total", "length_ops", "bytes", "prove_s", "check_s", "regions"),
    *("on", "off", "bent"),
)
LABELS = ("kind", "seed", "label", "inputs", "wrong", "regions", "separable", "adaptive", "heads")
HEADS = ("kind", "seed", "head", "attention", "copies", "poll", "line", "residue", "work", "leads")
STRATEGIES = ("regions", "separable", "adaptive", "brute-force")
SEEDS = range(5)
FEW = 2  # tokens that inputs begin with on which checking brute force is measured

Row = dict[str, Any]


class Kind(NamedTuple):
    """Models of one architecture for one exercise; or the models of another kind, with their task told otherwise."""

    name: str
    exercise: Exercise
    sizes: dict[str, Any]
    models: str = ""


def sign_of_sum(k: int, most: int) -> Exercise:
    """Is the sum of k numbers from -most to most negative, zero or positive? Token t stands for t - most."""
    size = k * most
    sums = range(-size, size + 1)
    label = {
        "name": "automaton",
        "states": len(sums),
        "start": size,
        "next": [[min(max(s + t, -size), size) + size for t in range(-most, most + 1)] for s in sums],
        "output": [1 + (s > 0) - (s < 0) for s in sums],
    }
    content = 2 * most + 1
    inputs = [{"tokens": f"0-{content - 1}"}] * k
    return Exercise(Problem.model_validate({"inputs": inputs, "label": label}), (None,) * k, content, 3)


def sum_by_residues(k: int, modulus: int, d_vocab: int) -> Exercise:
    """sum-mod as an automaton that remembers how many of the tokens so far have which residue."""
    states: dict[tuple[int, ...], int] = {(): 0}
    following: list[list[int]] = []
    waiting: list[tuple[int, ...]] = [()]
    for seen in waiting:
        row = []
        for t in range(d_vocab):
            after = tuple(sorted([*seen, t % modulus])) if len(seen) < k else seen
            if after not in states:
                states[after] = len(states)
                waiting.append(after)
            row.append(states[after])
        following.append(row)
    output = [sum(seen) % modulus for seen in states]
    label = {"name": "automaton", "states": len(states), "start": 0, "next": following, "output": output}
    inputs = [{"tokens": f"0-{d_vocab - 1}"}] * k
    return Exercise(Problem.model_validate({"inputs": inputs, "label": label}), (None,) * k, d_vocab, modulus)


def named(task: str, d_vocab: int, k: int, **parameters: int) -> Exercise:
    return exercise(task, d_vocab, k, None, parameters)


def heads(count: int) -> dict[str, Any]:
    return {"heads": count, "d_head": 32 // count}


RELU = {"activation": "relu"}
MODULAR = "sum mod 3 of 4, 64 ReLU"
RESIDUES = "the same, residues counted"
KINDS = (
    *(Kind(f"max of 4, {n} head{'s' * (n > 1)}", named("max", 12, 4), heads(n)) for n in (1, 2, 4, 8)),
    Kind("max of 4, 16 ReLU", named("max", 12, 4), {"d_mlp": 16, **RELU}),
    Kind("min of 4", named("min", 12, 4), {}),
    Kind("2nd largest of 4", named("nth-largest", 12, 4, n=2), {}),
    Kind("median of 5", named("nth-largest", 8, 5, n=3), {}),
    Kind("sign of a sum of 5, 8 ReLU", sign_of_sum(5, 3), {"d_model": 24, "d_head": 12, "d_mlp": 8, **RELU}),
    Kind(MODULAR, named("sum-mod", 12, 4, modulus=3), heads(2) | {"d_mlp": 64, **RELU}),
    Kind(RESIDUES, sum_by_residues(4, 3, 12), {}, MODULAR),
)
NOT_TRIED = {(MODULAR, "adaptive"), (RESIDUES, "adaptive")}  # takes minutes: stopped, without a result
STEPS = {MODULAR: 3_000}  # of training; others have fewer than usual, so that some inputs are wrong
USUAL_STEPS = 1_000


def file_name(name: str, seed: int) -> str:
    return f"{name.replace(', ', '-').replace(' ', '-')}-seed-{seed}"


def problem_file(folder: Path, kind: Kind) -> Path:
    return folder / f"{kind.name.replace(', ', '-').replace(' ', '-')}.problem.json"


def train_all(folder: Path, kind: Kind) -> None:
    """The models that are missing, and the problem file."""
    folder.mkdir(parents=True, exist_ok=True)
    problem_file(folder, kind).write_bytes(kind.exercise.problem.to_bytes())
    paths = [folder / f"{file_name(kind.name, seed)}.safetensors" for seed in SEEDS]
    if kind.models or all(path.exists() for path in paths):
        return
    recipe = Recipe(kind.exercise, steps=STEPS.get(kind.name, USUAL_STEPS), **kind.sizes)
    for path, model in zip(paths, train(recipe, list(SEEDS)), strict=True):
        save_model(path, model.tensors, None if recipe.plain else recipe.architecture)
        print(f"{path.name}: {model.accuracy:.5f} of a sample", file=sys.stderr, flush=True)


def beginning(exercise: Exercise, tokens: int) -> Problem:
    """The same problem, of the inputs that begin with one of the first tokens."""
    inputs = [{"tokens": f"0-{tokens - 1}"}] + [{"tokens": f"0-{exercise.content - 1}"}] * (exercise.k - 1)
    return Problem.model_validate(exercise.problem.model_dump() | {"inputs": inputs})


def facts_of(certificate: Certificate) -> tuple[Regions, RegionGaps, list[list[list[int]]]] | None:
    """What it says about regions, and the hints of its gaps; None if it says nothing."""
    steps = certificate.predicate.steps
    if not isinstance(steps[0].conclusion, Regions):
        return None
    gaps, args = steps[1].conclusion, steps[1].args
    assert isinstance(gaps, RegionGaps) and isinstance(args, HintArgs)
    return steps[0].conclusion, gaps, args.hints


def certificate_file(folder: Path, kind: Kind, seed: int, strategy: str) -> Path:
    return folder / f"{file_name(kind.name, seed)}-{strategy}.cert.json"


def proof(kind: Kind, model: Path, seed: int, strategy: str, folder: Path) -> Row:
    """Prove, check and measure."""
    path, problem = certificate_file(folder, kind, seed, strategy), problem_file(folder, kind)
    marks = [time.process_time()]
    loaded = load_model(model)
    certificate = prove(loaded, strategy, problem=problem)
    size = certificate.save(path)
    marks.append(time.process_time())
    claim = certificate.predicate.claim
    row: Row = dict.fromkeys(PROOFS, "") | {
        **{"kind": kind.name, "seed": seed, "strategy": strategy, "correct": claim.correct, "total": claim.total},
        **{"bytes": size, "prove_s": f"{marks[1] - marks[0]:.2f}"},
    }
    factor = 1.0
    if strategy == "brute-force":
        if seed != SEEDS[0]:
            return row
        if not kind.exercise.is_max_of_k or loaded.architecture.heads > 1 or loaded.architecture.activation != "none":
            factor = loaded.d_vocab / FEW
            certificate = prove(loaded, strategy, problem=beginning(kind.exercise, FEW))
            certificate.save(path := path.with_name("few.cert.json"))
    started = time.process_time()
    verdict = check(str(model), str(path), budget=needed_budget(certificate, loaded) or None)
    assert verdict.correct == certificate.predicate.claim.correct
    row["check_s"] = f"{factor * (time.process_time() - started):.2f}"
    row["length_ops"] = round(factor * proof_length(model, path).total)
    facts = facts_of(certificate)
    if facts:
        ranges = facts[0].ranges
        row["regions"] = len(ranges)
        pairs = [pair for row in ranges for pair in zip(row[::2], row[1::2], strict=True)]
        if pairs:
            row["on"] = sum(low >= 0 for low, _ in pairs)
            row["off"] = sum(high <= 0 and low < 0 for low, high in pairs)
            row["bent"] = sum(low < 0 < high for low, high in pairs)
    return row


def proved(path: Path, labels: int) -> list[int]:
    """The inputs of each label that a certificate counts as correct."""
    found = [0] * labels
    for step in Certificate.load(path).predicate.steps:
        if isinstance(step.conclusion, Tally):
            for label, _, _, correct, _ in step.conclusion.counts:
                found[label] += correct
    return found


def shares(question: Question, certificate: Certificate) -> Iterator[tuple[int, list[float]]]:
    """For each region its label, and of what the heads keep the nearest wrong output behind by, each head's share."""
    facts = facts_of(certificate)
    if facts is None:
        return
    regions, gaps, hints = facts
    groups = [
        Group(
            g.label,
            list(members(g.queries)),
            Automaton(np.array(g.symbols), np.array(g.next), np.array(g.parts)),
            [tuple(members(rivals)) for rivals in g.rivals],
        )
        for g in regions.groups
    ]
    count = question.model.architecture.heads
    for region, bounds, hint in zip(regions_of(question.task, groups), gaps.gaps, hints, strict=True):
        means = hint[bounds.index(max(bounds))][-count:]
        behind = [max(-mean, 0) for mean in means]
        if sum(behind):
            yield groups[region.group].label, [mean / sum(behind) for mean in behind]


def inputs_of(question: Question) -> np.ndarray[Any, np.dtype[np.int64]]:
    """All inputs."""
    return np.array(list(product(range(question.model.d_vocab), repeat=question.task.k)))


def poll(values: FloatArray) -> float:
    """Does a token only say whether the answer is at least as large as itself? values [token, output] of one head.

    The share of the variance, over tokens t, of what the head adds to output y + 1 and not to y that is explained by
    whether t > y.
    """
    steps = np.diff(values, axis=1)
    above = np.arange(len(values))[:, None] > np.arange(steps.shape[1])
    fitted = np.empty_like(steps)
    for y in range(steps.shape[1]):
        for side in (above[:, y], ~above[:, y]):
            fitted[side, y] = steps[side, y].mean()
    return float(1 - ((steps - fitted) ** 2).sum() / ((steps - steps.mean(axis=0)) ** 2).sum())


def explained(values: FloatArray, by: FloatArray) -> float:
    """The share of the variance over tokens of values [token, .] that linear functions of by [token, .] explain."""
    centred = values - values.mean(axis=0)
    factors = by - by.mean(axis=0)
    fitted = factors @ np.linalg.lstsq(factors, centred, rcond=None)[0]
    return float((fitted**2).sum() / (centred**2).sum())


def look(kind: Kind, model: Path, seed: int, folder: Path) -> tuple[list[Row], list[Row]]:
    """What is true and proved label by label, and what each head does."""
    question = ask(model, problem_file(folder, kind), Fraction(0))
    layer = OneLayer(question, PRECISIONS[0])
    gaps, inputs = Gaps(layer), inputs_of(question)
    answers = question.task.label.of_inputs(inputs)
    there = np.bincount(answers, minlength=layer.outputs)
    paths = {name: certificate_file(folder, kind, seed, name) for name in STRATEGIES}
    counts = {name: proved(path, layer.outputs) for name, path in paths.items() if path.exists()}
    by_label: dict[int, list[list[float]]] = {}
    for label, share in shares(question, Certificate.load(paths["separable"])):
        by_label.setdefault(label, []).append(share)
    means = {label: np.mean(rows, axis=0) for label, rows in by_label.items()}
    labels = [
        {
            **{"kind": kind.name, "seed": seed, "label": c, "inputs": int(there[c])},
            "wrong": int(there[c]) - counts["brute-force"][c],
            **{n: int(there[c]) - counts[n][c] if n in counts else "" for n in ("regions", "separable", "adaptive")},
            "heads": " ".join(f"{share:.4f}" for share in means.get(c, [])),
        }
        for c in range(layer.outputs)
        if there[c]
    ]
    order = np.argsort(-inputs, axis=1, kind="stable")
    attention = np.zeros((layer.heads, question.task.k))
    for q in range(question.model.d_vocab):
        mine = np.flatnonzero(inputs[:, layer.readout] == q)
        own = gaps.layer.shares(q, inputs[mine])
        attention += np.take_along_axis(own, order[mine][None], axis=2).sum(axis=1)
    attention /= len(inputs)
    values, everything = layer.values[..., : layer.outputs], layer.values.mean(axis=1)
    line = np.arange(question.model.d_vocab, dtype=float)[:, None]
    residue = np.eye(3)[np.arange(question.model.d_vocab) % 3]
    copied = values.argmax(axis=3) == np.arange(values.shape[2])
    tokens = layer.outputs == question.model.d_vocab  # are the answers tokens?
    work = np.mean(list(means.values()), axis=0) if means else np.full(layer.heads, np.nan)
    leading = np.bincount([int(share.argmax()) for share in means.values()], minlength=layer.heads)
    heads = [
        {
            **{"kind": kind.name, "seed": seed, "head": h, "copies": f"{copied[h].mean():.4f}" if tokens else ""},
            "attention": " ".join(f"{share:.4f}" for share in attention[h]),
            "poll": f"{poll(values[h].mean(axis=0)):.4f}" if tokens else "",
            "line": f"{explained(everything[h], line):.4f}",
            "residue": f"{explained(everything[h], residue):.4f}",
            **{"work": f"{work[h]:.4f}" if means else "", "leads": int(leading[h])},
        }
        for h in range(layer.heads)
    ]
    return labels, heads


class Record:
    """A table in docs/assets, written anew with each row that is added."""

    def __init__(self, name: str, fields: Sequence[str]) -> None:
        self.path, self.fields = ASSETS / name, fields
        self.rows: list[Row] = []
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self.rows = list(csv.DictReader(file))

    def has(self, **values: object) -> bool:
        return any(all(str(row[name]) == str(value) for name, value in values.items()) for row in self.rows)

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += rows
        names = [kind.name for kind in KINDS]
        self.rows.sort(key=lambda row: (names.index(row["kind"]), int(row["seed"])))
        with self.path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, self.fields, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "out" / "kinds"
    proofs, labels, heads = (
        Record(f"kinds{name}.csv", fields) for name, fields in (("", PROOFS), ("-labels", LABELS), ("-heads", HEADS))
    )
    for kind in KINDS:
        train_all(folder, kind)
    for seed, kind in product(reversed(SEEDS), KINDS):
        model = folder / f"{file_name(kind.models or kind.name, seed)}.safetensors"
        for strategy in STRATEGIES:
            if (kind.name, strategy) not in NOT_TRIED and not proofs.has(kind=kind.name, seed=seed, strategy=strategy):
                row = proof(kind, model, seed, strategy, folder)
                print(row, file=sys.stderr, flush=True)
                proofs.add([row])
        if not heads.has(kind=kind.name, seed=seed):
            of_labels, of_heads = look(kind, model, seed, folder)
            labels.add(of_labels)
            heads.add(of_heads)


if __name__ == "__main__":
    main()
