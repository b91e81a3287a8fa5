"""The extracted checker beside check-cert: it accepts what check-cert accepts, as far as the rules are proved, and
nothing else. `make formal` runs this; `make test` does not, as it needs Coq."""

import copy
import json
import random
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from operator import sub
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from certgen.progress import quiet
from certgen.proving import ask
from certgen.strategies import STRATEGIES
from checker.certificate import decode_certificate
from checker.cli import describe, main
from checker.decode import decompress, load_json
from checker.errors import Refusal
from checker.facts import (
    AttentionRanges,
    CubicTokens,
    DirectPathSpread,
    MaxTokenPath,
    ScoreApproximation,
    Tally,
    UpperTable,
)
from checker.kernel import verify
from checker.model.weights import read_weights
from tests.support.any_case import Case, any_case, derived
from tests.support.any_case import certificate as certificate_of
from tests.support.any_traps import reads
from tests.support.derivations import Derivation, statement, step
from tests.support.generators import Sizes
from tests.support.groups import any_groups
from tests.support.hints import bent_scores, by_hand, in_any_units, small_peels, smallest_sigma
from tests.support.one_rule import least_loss
from tests.support.region_attacks import changed
from tests.support.region_cases import region_case
from tests.support.region_proofs import BUDGET, problem_of, prove
from tests.support.region_readings import READINGS, TRAPS
from tests.support.tiny import near_correct, random_tensors, tiny_model, zero_tensors

FORMAL = Path(__file__).resolve().parent
CHECKER = FORMAL / "build" / "check-cert-verified"
TESTS = FORMAL.parent / "tests"
CERTIFICATES, MODELS = TESTS / "certificates", TESTS / "models"
PLAIN_ENTRY = '{"activation":"none","blocks":1,"norms":[],"pool":"none","readout_layers":0}'  # of a file without one
ABOUT_ANY_PROBLEM = {"regions", "region_gaps", "region_counts", "evaluate_inputs", "expected_loss"}
PROVED = {path.stem for path in (FORMAL / "Rules").glob("*.v")}
ACCEPTED, NOT_PROVED = 0, 6
VERDICTS = [line.split("\t") for line in (CERTIFICATES / "verdicts.tsv").read_text().splitlines()]
LANES = {"exponent": -40, "bits": 40}


def run(*arguments: object) -> tuple[int, str]:
    """The exit code and the line."""
    done = subprocess.run([CHECKER, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.rstrip("\n")


def code_of(line: str) -> tuple[str, ...]:
    """The word and the code of a refusal."""
    return tuple(line.split()[:2])


def model_of(data: bytes) -> Path:
    """The model that a file of the corpus is about; what cannot be read that far is about tiny."""
    try:
        statement: Any = load_json(decompress(data))
        path = MODELS / statement["subject"][0]["name"]
    except (Refusal, KeyError, IndexError, TypeError):
        path = MODELS / "none"
    return path if path.is_file() else MODELS / "tiny.safetensors"


def is_covered(architecture: Mapping[str, Any]) -> bool:
    """Whether the theorem about any problem is about models of this kind."""
    plain = {"blocks": 1, "norms": [], "pool": "none", "readout_layers": 0}
    return architecture["activation"] in ("none", "relu") and plain.items() <= architecture.items()


def uses_proved_rules_only(data: bytes) -> bool:
    """Whether a certificate that check-cert accepts is one for the verified checker, too."""
    decoded, rules = decode_certificate(data), {step.rule for step in decode_certificate(data).steps}
    if isinstance(decoded.problem, int) and not rules & ABOUT_ANY_PROBLEM:
        return rules <= PROVED
    return rules <= {*ABOUT_ANY_PROBLEM, "total"} and is_covered(
        json.loads(read_weights(model_of(data).read_bytes()).entry or PLAIN_ENTRY)
    )


def test_corpus() -> None:
    """Nothing is accepted that check-cert refuses; what is accepted has the same line; other codes agree."""
    accepted, tried = set(), 0
    for name, verdict in VERDICTS:
        path = CERTIFICATES / name
        data = path.read_bytes()
        code, line = run(model_of(data), path)
        if code == ACCEPTED:
            assert line == verdict, name
            accepted.add(name)
        elif code == NOT_PROVED:
            assert line.startswith("NOT-PROVED ") and "VERIFIED" not in line.split(), name
        elif not verdict.startswith("RESOURCE-LIMIT"):  # each has limits of its own
            assert code_of(line) == code_of(verdict), name
        if verdict.startswith("VERIFIED") and uses_proved_rules_only(data):
            assert code == ACCEPTED, name
            tried += 1
    assert len(accepted) == tried >= 50


def test_a_rule_that_is_not_proved_is_named(tmp_path: Path) -> None:
    stated = json.loads((CERTIFICATES / "accept" / "tiny--evaluate_inputs.cert.json").read_bytes())
    stated["predicate"]["steps"][1]["rule"] = "float32_any_order"
    (tmp_path / "cert.json").write_text(json.dumps(stated))
    code, line = run(MODELS / "tiny.safetensors", tmp_path / "cert.json")
    assert code == NOT_PROVED
    assert line == "NOT-PROVED not-proved-rule float32_any_order in CERT at predicate.steps[1].rule"


MODELS_OF_TESTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "near-correct": lambda rng: near_correct(rng, 4, 3, biases=True),
    "random": lambda rng: random_tensors(rng, 4, 3, 3, 2),
    "one-position": lambda rng: random_tensors(rng, 3, 1, 2, 2),
    "one-token": lambda rng: random_tensors(rng, 1, 2, 2, 1),
    "long": lambda rng: random_tensors(rng, 2, 6, 2, 1),
    "zero": lambda rng: zero_tensors(3, 2, 1, 1),
}
SCORES = {  # and the lines that they meet
    "score_residual_spread": "max_token_drop",
    "score_product_spread": "max_token_mean",
    "score_recursive_spread": "max_token_envelope",
    "score_singular_value": "max_token_drop",
}
PROOFS = ["enumerate", "branch", "cubic", "both", "separable", "separable-looser", "spread", *SCORES]


def looser(scores: ScoreApproximation) -> ScoreApproximation:
    """Other kept scores, and as much error as that makes."""
    kept = tuple([tuple([x + (5 * t + q) % 4 for t, x in enumerate(row)]) for q, row in enumerate(scores.kept)])
    changes = [list(map(sub, row, old)) for row, old in zip(kept, scores.kept, strict=True)]
    return replace(scores, kept=kept, error=tuple([max(change) - min(change) for change in changes]))


def proof_of(path: Path, kind: str, margin: Fraction) -> Derivation:
    """Enumerated, branched, by accepted tokens, counted in any groups, by gaps, or part of the pairs each by a step at
    its own margin."""
    rng = random.Random(f"{kind} {margin}")
    if kind in SCORES:
        return by_hand(path, margin, rng, SCORES[kind], kind)
    proof = Derivation(path, margin)
    v, k = proof.problem.v, proof.problem.k
    queries = [(2 << m) - 1 if k > 1 else 1 << m for m in range(v)]
    if kind == "enumerate":
        proof.step("enumerate_sequences", [], LANES)
    elif kind == "branch":
        proof.step("branch_sequences", [], {**LANES, "queries": queries})
    elif kind == "cubic":
        direct = proof.step("direct_path_upper", [], {"exponent": -40})
        value = proof.step("value_path_upper", [], {})
        proof.step("count_cubic", [proof.step("cubic_tokens", [direct, value], {"bits": 40})], {})
        proof.step("pure_sequences", [], LANES)
    elif kind.startswith("separable"):
        scores = proof.step("score_exact", [], {}, looser if kind.endswith("looser") else None)
        proof.step("separable_counts", [scores], any_groups(rng, proof, scores, {**LANES, "groups": []}, queries))
    elif kind == "spread":
        gaps = [[[int(m > 0 and (q < m or n > 0)) for n in range(k - (q < m))] for q in range(m + 1)] for m in range(v)]
        ranges = proof.step("attention_ranges", [proof.step("score_exact", [], {})], {"bits": 40, "gaps": gaps})
        lines = proof.step("max_token_envelope", [proof.step("direct_path_spread", [], {})], {})
        proof.step("gap_cells", [ranges, lines, proof.step("value_path_spread", [], {})], {})
    else:
        with proof.at(margin - 3):
            proof.step("enumerate_sequences", [], LANES)
        largest = [0] * (v - 1)
        proof.step("branch_sequences", [], {**LANES, "queries": [*largest, queries[-1]]})
        proof.step("branch_sequences", [], {**LANES, "queries": [*queries[:-1], 0]})
    return proof


@pytest.mark.parametrize("name", MODELS_OF_TESTS)
@pytest.mark.parametrize("kind", PROOFS)
@pytest.mark.parametrize("margin", ["0", "1/3", "7"])
def test_the_same_counts(tmp_path: Path, name: str, kind: str, margin: str) -> None:
    """What check-cert derives is accepted to the last sequence, exact ties among them, and one sequence more is not."""
    tiny_model(tmp_path / "model.safetensors", MODELS_OF_TESTS[name](np.random.default_rng(7)), "F32")
    proof = proof_of(tmp_path / "model.safetensors", kind, Fraction(margin))
    of_pairs = [number for number, fact in enumerate(proof.facts) if isinstance(fact, Tally)]
    tallies = [number for number in of_pairs if number not in proof.own]
    certificate = proof.statement(tallies)

    def outcome(stated: Any) -> tuple[str, ...]:
        (tmp_path / "model.cert.json").write_text(json.dumps(stated))
        ours, theirs = proof.outcome(stated), run(tmp_path / "model.safetensors", tmp_path / "model.cert.json")[1]
        word = code_of(theirs)
        assert word[1] == ours.code if isinstance(ours, Refusal) else word[0] == "VERIFIED"
        return word

    assert outcome(certificate)[0] == "VERIFIED"
    for number in tallies:
        for column in (3, 4) if proof.steps[number]["conclusion"]["counts"] else ():
            greedy = copy.deepcopy(certificate)
            greedy["predicate"]["steps"][number]["conclusion"]["counts"][-1][column] += 1
            assert outcome(greedy) == ("REJECTED", "count-too-large")
    for number, fact in enumerate(proof.facts):
        greedy = copy.deepcopy(certificate)
        stated = greedy["predicate"]["steps"][number]["conclusion"]
        if isinstance(fact, UpperTable):  # one unit less than derived
            stated["rows"][-1][-1] -= 1
            assert outcome(greedy) == ("REJECTED", "bound-too-small")
        elif isinstance(fact, ScoreApproximation):
            stated["error"][-1] -= 1
            assert outcome(greedy) == ("REJECTED", "error-too-small")
        elif isinstance(fact, DirectPathSpread):
            stated["spread"]["rows"][-1][-1] -= 1
            assert outcome(greedy) == ("REJECTED", "bound-too-small")
            stated["centre"]["rows"] = [[1 << 20] * proof.weights.sizes["d_model"]]
            assert outcome(greedy) == ("REJECTED", "other-centre")
        elif isinstance(fact, MaxTokenPath) and fact.lines.rows[-1]:
            stated["lines"]["rows"][-1][-1] -= 1
            assert outcome(greedy) == ("REJECTED", "bound-too-small")
        elif isinstance(fact, AttentionRanges) and any(any(row) for rows in fact.ranges for row in rows):
            cell = next(cell for rows in stated["ranges"] for row in rows for cell in row if cell)
            for end, inward in ((1, 1), (2, -1)):
                cell[end] += inward
                assert outcome(greedy) == ("REJECTED", "range-too-narrow")
                cell[end] -= inward
            stated["bits"] += 1
            assert outcome(greedy) == ("REJECTED", "wrong-unit")
        elif isinstance(fact, CubicTokens) and fact.masks[-1][-1]:  # the maximum itself is never accepted
            stated["masks"][-1][-1][-1] |= 1 << (len(fact.masks) - 1)
            assert outcome(greedy) == ("REJECTED", "token-not-accepted")
    greedy = copy.deepcopy(certificate)
    greedy["predicate"]["claim"]["correct"] += 1
    assert outcome(greedy) == ("REJECTED", "count-too-large")


@pytest.mark.parametrize("rule", SCORES)
def test_any_arguments_of_scores(tmp_path: Path, rule: str) -> None:
    """Whatever the projectors, the bases and the witness: the same errors to the last unit, or the same refusal."""
    seen: Counter[str] = Counter()
    for seed in range(12):
        rng, path = random.Random(f"{rule} {seed}"), in_any_units(seed).write(tmp_path / "model.safetensors")
        proof = Derivation(path)
        sizes = Sizes(*(proof.weights.sizes[name] for name in ("d_vocab", "n_ctx", "d_model", "d_head")))
        _, args = bent_scores(rng, {"rule": rule, "args": {}}, sizes, others=())
        if rule == "score_singular_value" and seed % 3:  # a ridge that dominates
            identity = [[int(i == j) for j in range(sizes.d)] for i in range(sizes.d)]
            args |= {"peels": small_peels(rng, (sizes.d, sizes.h, sizes.d, sizes.d)), "witness": identity}
            args = smallest_sigma(proof, args | {"ridge": 1, "ridge_exponent": 30}) or args
        if seed % 4 == 3:
            hint = rng.choice([name for name in ("peels", "bases", "witness") if args.get(name)])
            args[hint] = args[hint][:-1]
        try:
            proof.step(rule, [], args)
            code = "VERIFIED"
        except Refusal as refusal:
            code = refusal.code
            proof.facts.append(None)
            proof.steps.append(step(rule, [], args, {"exponent": 0, "kept": [], "error": []}))
        seen[code] += 1
        certificate = proof.statement([proof.step("pure_sequences", [], LANES)])
        (tmp_path / "cert.json").write_text(json.dumps(certificate))
        line = run(path, tmp_path / "cert.json")[1]
        assert code in code_of(line), seed
        if code == "VERIFIED":
            proof.steps[0]["conclusion"]["error"][-1] -= 1
            (tmp_path / "cert.json").write_text(json.dumps(certificate))
            assert code_of(run(path, tmp_path / "cert.json")[1]) == ("REJECTED", "error-too-small")
    assert seen["VERIFIED"] >= 4 and seen["wrong-shape"] >= 1


def test_all_strategies(tmp_path: Path) -> None:
    """What docs/formal.md says: of max-of-k by one head, certificates of all of them rest on proved rules."""
    path = tiny_model(tmp_path / "model.safetensors", MODELS_OF_TESTS["near-correct"](np.random.default_rng(7)), "F32")
    question = ask(path, None, Fraction(0))
    certificates = [tmp_path / f"{number}.cert.json" for number in range(len(STRATEGIES))]
    for strategy, certificate in zip(STRATEGIES.values(), certificates, strict=True):
        certificate.write_bytes(strategy.prove(question, quiet).to_bytes())
    words = [line.split()[0] for line in run(path, *certificates)[1].splitlines()]
    assert words == ["VERIFIED" for _ in STRATEGIES]


PLAIN = {"normalization": "none", "norms": [], "eps": "0"}


def about_regions(case: Case, groups: list[Any], rng: random.Random) -> dict[str, Any]:
    """A certificate by the rules about regions, with the best hints that check-cert accepts."""
    bits, steps = rng.choice((8, 12, 16, 24, 40)), rng.choice((1, 3, 50, 200))
    return with_total(case, prove(problem_of(case), groups, bits, steps, rng))


def with_total(case: Case, steps: list[Any]) -> dict[str, Any]:
    """The certificate of these three steps, and of their sum."""
    correct = sum([count[3] for count in steps[-1]["conclusion"]["counts"]])
    claim = {"correct": correct, "wrong": 0}
    total = {"rule": "total", "premises": [2], "args": {}, "conclusion": claim}
    return certificate_of(case, [8], [], steps=[*steps, total], claim={**claim, "total": problem_of(case).total})


def greedier(stated: dict[str, Any], rng: random.Random) -> Iterator[dict[str, Any]]:
    """One unit less in a hint or a gap, one input more in a count; and anything else."""
    for what in ("hint", "gap", "count", "step", "steps"):
        greedy = copy.deepcopy(stated)
        steps = greedy["predicate"]["steps"]
        hints, gaps = steps[1]["args"]["hints"], steps[1]["conclusion"]["gaps"]
        if what == "hint" and any(hints):
            rng.choice(rng.choice([rows for rows in hints if rows]))[-1] -= 1
        elif what == "gap" and any(gaps):
            rng.choice([row for row in gaps if row])[0] -= 1
        elif what == "count" and steps[2]["conclusion"]["counts"]:
            rng.choice(steps[2]["conclusion"]["counts"])[3] += 1
        elif what == "step":
            at = rng.randrange(3)
            steps[at] = changed(rng, steps[at])
        else:
            steps[:3] = changed(rng, steps[:3])
        yield greedy


def test_the_same_of_regions(tmp_path: Path) -> None:
    """Any number of heads, either mask, an MLP or none, any label, weights of inputs and margin: the same line, or the
    same refusal."""
    seen: Counter[str] = Counter()
    for seed in range(80):
        activation = "relu" if seed % 2 else "none"
        (case, groups), rng = region_case(seed, activation=activation, **PLAIN), random.Random(seed)
        path = case.write(tmp_path / "model.safetensors")
        try:
            stated = about_regions(case, groups, rng)
        except Refusal as refusal:
            assert refusal.code == "too-coarse", seed
            continue
        seen["proved"] += 1
        seen[f"{case.architecture['heads']} heads"] += 1
        seen[case.architecture["mask"]] += 1
        seen[activation] += 1
        seen[case.problem["label"]["name"]] += 1
        for one in (stated, *greedier(stated, rng)):
            (tmp_path / "cert.json").write_text(json.dumps(one))
            code, line = run(path, tmp_path / "cert.json")
            assert code != NOT_PROVED
            try:
                verdict = verify(decode_certificate(json.dumps(one).encode()), read_weights(case.data), BUDGET)
            except Refusal as refusal:
                assert code_of(line) == (refusal.word, refusal.code), seed
                seen[refusal.code] += 1
            else:
                assert line == describe(verdict)[0], seed
    assert min(seen[what] for what in ("causal", "full", "none", "relu", "1 heads", "2 heads", "3 heads")) >= 5, seen
    assert min(seen[code] for code in ("mean-above-bound", "bound-too-small", "count-too-large")) >= 15, seen
    assert seen["range-too-narrow"] >= 1, seen
    assert seen["proved"] >= 30 and set(seen) >= {"automaton", "max", "min", "sum-mod", "argmax", "majority"}, seen


def of_one_block(seed: int) -> Case | None:
    """Any case, read as a model of one block that the theorem covers, if its tensors allow that."""
    case = any_case(seed)
    if case.architecture["blocks"] == 0 or case.architecture["readout_layers"]:
        return None
    relu = {} if case.architecture["activation"] == "none" else {"activation": "relu"}
    return case if case.entry is None else reads(case, blocks=1, pool="none", **relu, **PLAIN)


def test_the_same_of_inputs(tmp_path: Path) -> None:
    """Few bits and many, weights of any size, margins at a hair: what check-cert counts as correct and as wrong, with
    the same line, and not one input more on either side of any label and query."""
    seen: Counter[str] = Counter()
    for seed, case in [(seed, case) for seed in range(150) if (case := of_one_block(seed))]:
        rng = random.Random(seed)
        bits = sorted(rng.sample((8, 9, 11, 14, 18, 24, 40, 64, 128, 700), rng.choice([1, 1, 2, 3])))
        path, weights, counts = case.write(tmp_path / "model.safetensors"), read_weights(case.data), derived(case, bits)
        stated = certificate_of(case, bits, counts)

        def line_of(one: dict[str, Any], path: Path = path) -> str:
            (tmp_path / "cert.json").write_text(json.dumps(one))
            return run(path, tmp_path / "cert.json")[1]

        verdict = verify(decode_certificate(json.dumps(stated).encode()), weights, BUDGET)
        assert line_of(stated) == describe(verdict)[0], seed
        seen.update(case.architecture[name] for name in ("mask", "activation"))
        seen[f"{case.architecture['heads']} heads"] += 1
        seen["more than the last position"] += case.problem.get("readout", 9) < len(case.problem["inputs"]) - 1
        left = verdict.total - verdict.correct - verdict.wrong
        seen.update(name for name in ("correct", "wrong") if getattr(verdict, name))
        seen["left"] += left > 0
        for row in range(len(counts)):
            for column in (3, 4):
                greedy = copy.deepcopy(stated)
                greedy["predicate"]["steps"][0]["conclusion"]["counts"][row][column] += 1
                assert code_of(line_of(greedy)) == ("REJECTED", "count-too-large"), seed
    assert min(seen[what] for what in ("causal", "full", "none", "relu", "1 heads", "2 heads", "3 heads")) >= 5, seen
    assert min(seen[what] for what in ("correct", "wrong", "left", "more than the last position")) >= 5, seen


@pytest.mark.parametrize("name", MODELS_OF_TESTS)
def test_the_same_of_profiles(tmp_path: Path, name: str) -> None:
    """Several margins and a mean loss: the same line, and the same refusal of each number that says more."""
    path = tiny_model(tmp_path / "model.safetensors", MODELS_OF_TESTS[name](np.random.default_rng(7)), "F32")
    proof, ladder = Derivation(path, Fraction(1, 3)), [Fraction(-1000), Fraction(-2), Fraction(1, 3), Fraction(2)]
    totals = []
    for margin in ladder:
        with proof.at(margin):
            totals.append(proof.step("total", [proof.step("evaluate_inputs", [], {"bits": [60]})], {}))
    losses = [least_loss(margin, proof.problem.outputs, 40) for margin in ladder]
    last = proof.step("expected_loss", totals, {"bits": 40, "losses": losses})
    stated: Any = statement(proof.weights, proof.margin, proof.steps, proof.facts[last])

    def outcome(*place: str | int, value: Any = None) -> tuple[str, ...]:
        one = copy.deepcopy(stated)
        *above, here = ("predicate", *place)
        at = one
        for key in above:
            at = at[key]
        at[here] = value(at[here]) if callable(value) else at[here]
        (tmp_path / "cert.json").write_text(json.dumps(one))
        ours, theirs = run(path, tmp_path / "cert.json")[1], proof.outcome(one)
        if isinstance(theirs, Refusal):
            assert code_of(ours) == (theirs.word, theirs.code)
        else:
            assert ours == describe(theirs)[0]
        return code_of(ours)

    assert outcome("claim")[0] == "VERIFIED"
    for row in range(len(ladder)):
        assert outcome("steps", last, "args", "losses", row, value=lambda n: n - 1) == ("REJECTED", "loss-too-small")
        for where in (("steps", last, "conclusion"), ("claim",)):
            for side in ("correct", "wrong"):
                more = outcome(*where, "profile", row, side, value=lambda n: n + 1)
                assert more == ("REJECTED", "count-too-large")
            other = outcome(*where, "profile", row, "margin", value=lambda _: "7")
            assert other == ("REJECTED", "wrong-margin")
    for where in (("steps", last, "conclusion"), ("claim",)):
        if proof.problem.outputs > 1:
            assert outcome(*where, "mean_loss", value=lambda _: "1/99999999999") == ("REJECTED", "loss-too-small")
        assert outcome(*where, "mean_loss", value=lambda _: "9999")[0] == (
            "VERIFIED" if where[0] == "claim" else "REJECTED"
        )
        assert outcome(*where, "profile", value=lambda rows: rows[1:]) == ("REJECTED", "wrong-shape")
    premises = ("steps", last, "premises")
    assert outcome(*premises, value=lambda four: four[::-1]) == ("REJECTED", "not-a-ladder")
    assert outcome(*premises, value=lambda four: [*four[:2], four[3]]) == ("REJECTED", "not-a-ladder")
    assert outcome(*premises, value=lambda _: []) == ("REJECTED", "wrong-premises")
    assert outcome(*premises, value=lambda four: [0, *four[1:]]) == ("REJECTED", "wrong-premises")
    assert outcome(*premises, value=lambda four: four[:-1]) == ("REJECTED", "wrong-shape")
    outcome(*premises, value=lambda four: four[1:])  # unbounded, if some input is wrong at -2
    assert outcome("steps", last, "args", "losses", value=lambda four: four[:-1]) == ("REJECTED", "wrong-shape")


def test_a_label_that_is_no_output(tmp_path: Path) -> None:
    """Of one input: nothing is proved about any."""
    tensors = random_tensors(np.random.default_rng(7), 3, 2, 2, 1)
    problem = {"inputs": [{"tokens": "0-2"}] * 2, "label": {"name": "sum-mod", "modulus": 4}}
    case = Case(tensors, None, problem)
    path = case.write(tmp_path / "model.safetensors")
    (tmp_path / "cert.json").write_text(json.dumps(certificate_of(case, [40], [])))
    assert main([str(path), str(tmp_path / "cert.json")]) == 1
    assert code_of(run(path, tmp_path / "cert.json")[1]) == ("REJECTED", "wrong-task")


def test_wrong_readings_are_refused(tmp_path: Path) -> None:
    """What a checker would accept that reads the rules wrongly, and claims too much by it."""
    refused = 0
    for name, reading in READINGS.items():
        trap = TRAPS[name]()
        with reading():
            steps = prove(problem_of(trap.case), trap.groups, trap.bits, 50, random.Random(trap.seed), trap.shares)
        (tmp_path / "cert.json").write_text(json.dumps(with_total(trap.case, steps)))
        code, _ = run(trap.case.write(tmp_path / "model.safetensors"), tmp_path / "cert.json")
        assert code in (1, NOT_PROVED), name
        assert (code == NOT_PROVED) == (not is_covered(trap.case.architecture)), name
        refused += code == 1
    assert refused >= 30


def test_problem_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The problem that is asked for, or another; and all that a verdict says of a model with an architecture."""
    case, groups = region_case(3, activation="relu", **PLAIN)
    path, problem = case.write(tmp_path / "model.safetensors"), tmp_path / "problem.json"
    (tmp_path / "cert.json").write_text(json.dumps(about_regions(case, groups, random.Random(3))))
    other = copy.deepcopy(case.problem)
    other["inputs"][0] = {"tokens": [0], "weights": [7]}
    nowhere = case.problem | {"readout": 99}
    for asked, codes in (
        (case.problem, ()),
        (other, ("REJECTED", "other-problem")),
        (nowhere, ("REJECTED", "wrong-task")),
    ):
        problem.write_text(json.dumps(asked))
        files = [str(file) for file in (path, tmp_path / "cert.json")]
        code, line = run("--problem", problem, "--json", *files)
        assert main(["--problem", str(problem), "--json", *files]) == code
        theirs = json.loads(capsys.readouterr().out)
        assert json.loads(line) == theirs | (
            {"expected": "", "got": "", "path": json.loads(line)["path"]} if codes else {}
        )
        assert (json.loads(line)["verdict"].upper(), json.loads(line).get("code")) == (codes or ("VERIFIED", None))


def test_what_is_not_covered_is_named(tmp_path: Path) -> None:
    """Kinds of models, and rules about max-of-k where they are not about the problem, or beside regions."""
    for name, field in (("two-blocks", "blocks"), ("three-heads", "activation"), ("final-norm", "norms")):
        code, line = run(MODELS / f"{name}.safetensors", CERTIFICATES / "accept" / "tiny--regions.cert.json")
        assert code == NOT_PROVED and line.startswith(f"NOT-PROVED not-proved-architecture {field} in MODEL")
    path = CERTIFICATES / "accept" / "tiny--cubic-of-a-problem-file.cert.json"
    code, line = run(MODELS / "tiny.safetensors", path)
    assert code == NOT_PROVED and line.split()[1] == "not-proved-here"


def test_files_and_usage(tmp_path: Path) -> None:
    """Exit codes, lines for several certificates, the budget; what is outside the theorem says so."""
    model, accept = MODELS / "tiny.safetensors", CERTIFICATES / "accept"
    certificate = accept / "tiny--brute-force.cert.json"
    code, line = run(model, certificate, tmp_path / "missing", accept / "tiny--cubic.cert.json.gz")
    first, second, third = line.splitlines()
    assert first.startswith("VERIFIED ") and first.endswith(" in CERT 1")
    assert second == "MALFORMED unreadable-file in CERT 2"
    assert third.startswith("VERIFIED ") and code == 3
    assert run("--budget", 5, model, certificate) == (5, "RESOURCE-LIMIT over-budget in CERT at predicate.steps[0]")
    code, line = run(MODELS / "three-heads.safetensors", certificate)
    assert (code, code_of(line)) == (NOT_PROVED, ("NOT-PROVED", "not-proved-architecture"))
    code, line = run(MODELS / "mixed-dtypes.safetensors", certificate)
    assert (code, code_of(line)) == (4, ("OTHER-MODEL", "model-digest"))


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What check-cert says, but for what was expected and what was found."""
    names = ["tiny--brute-force-margin", "tiny--exact-margin", "mixed-dtypes--cubic"]  # the last is about another model
    paths = [CERTIFICATES / "accept" / f"{name}.cert.json" for name in names]
    files = [str(path) for path in (MODELS / "tiny.safetensors", *paths, tmp_path / "missing")]
    code = main(["--json", *files])
    theirs = capsys.readouterr().out.splitlines()
    ours = run("--budget", 1 << 20, "--json", *files)
    assert ours[0] == code == 4
    for ours_line, line in zip(ours[1].splitlines(), theirs, strict=True):
        expected = json.loads(line)
        assert json.loads(ours_line) == expected | ({"expected": "", "got": ""} if expected["exit_code"] else {})


def test_gzip_members(tmp_path: Path) -> None:
    """Headers of all kinds, and damaged ones, are read as check-cert reads them."""
    text = (CERTIFICATES / "accept" / "tiny--brute-force.cert.json").read_bytes()
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(text) + packer.flush() + struct.pack("<II", zlib.crc32(text), len(text))

    def member(flags: int, fields: bytes = b"", damage: int = 0) -> bytes:
        header = bytes([31, 139, 8, flags, 0, 0, 0, 0, 0, 255]) + fields
        return header + struct.pack("<H", zlib.crc32(header) & 0xFFFF ^ damage) * (flags >> 1 & 1) + packed

    whole = [member(0), member(4, b"\3\0abc"), member(8, b"name\0"), member(16, b"\0"), member(30, b"\1\0xn\0c\0")]
    damaged = [member(2, damage=1), member(32), member(4, b"\xff\xff"), whole[0][:-1], whole[0] + b"\0", whole[0][:9]]
    damaged += [whole[0][:-1] + b"\1", whole[0][:-5] + b"\1" + whole[0][-4:]]
    for data in (*whole, *damaged):
        (tmp_path / "packed").write_bytes(data)
        code, line = run(MODELS / "tiny.safetensors", tmp_path / "packed")
        try:
            assert decompress(data) == text
            assert code == ACCEPTED
        except Refusal as refusal:
            assert code_of(line) == ("MALFORMED", refusal.code)
        assert (code == ACCEPTED) == (data in whole)
