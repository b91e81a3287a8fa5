"""Both verifiers read the same: model files, problems and certificates that are changed somewhere."""

import copy
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from checker.errors import Refusal
from checker.model.weights import Weights, read_weights
from tests.checker.test_mutated_problems import mutate
from tests.make_corpus import CERTIFICATES, MODELS
from tests.second_verifier.model_file import ModelFile, read_model
from tests.second_verifier.refusal import Refused
from tests.support.agreement import Agreement, case_of
from tests.support.any_case import Sizes, any_case, certificate, counted
from tests.support.any_problem import Inputs

SEEDS = [range(50), pytest.param(range(1000, 1400), marks=pytest.mark.slow)]
PIECES = [b'"', b"\\", b"{", b"[", b"}", b"]", b",", b":", b"-", b"+", b"0", b"1", b"e", b".", b" ", b"\t", b"\0"]
PIECES += [b"\xff", b"\xc3\xa9", b"\\u0041", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"NaN", b"true", b"null", b"-0"]
PIECES += [b"1e5", b"Infinity", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"00", b"9" * 4001, b"[" * 9, b"\x1f\x8b"]


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header: bytes, rest: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + rest


def change_model(rng: random.Random, data: bytes) -> bytes:
    """The header, the architecture in it, or bytes anywhere."""
    header, rest = header_of(data)
    metadata = header.get("__metadata__", {})
    match rng.randrange(5):
        case 0 if "architecture" in metadata:
            given = json.loads(metadata["architecture"])
            metadata["architecture"] = json.dumps(mutated(rng, given), sort_keys=True, separators=(",", ":"))
        case 1 if "architecture" in metadata:
            metadata["architecture"] = change_bytes(rng, metadata["architecture"].encode()).decode("utf-8", "replace")
        case 2 if len(header) > 2:
            one, other = rng.sample([name for name in header if name != "__metadata__"], 2)
            field = rng.choice(["dtype", "shape", "data_offsets"])
            header[one][field], header[other][field] = header[other][field], header[one][field]
        case 3:
            return change_bytes(rng, data)
        case _:
            header = mutated(rng, header)
    return with_header(json.dumps(header).encode(), rest)


def mutated(rng: random.Random, value: Any) -> Any:
    """Something anywhere."""
    holder = {"task": value}
    mutate(rng, holder)
    return holder.get("task")


def change_bytes(rng: random.Random, data: bytes) -> bytes:
    """Something put in, left out, or in place of something."""
    at, size = rng.randrange(len(data) + 1), rng.choice([0, 0, 1, 1, 2, 30])
    return data[:at] + rng.choice([b"", *PIECES]) + data[at + size :]


def same(ours: Weights, theirs: ModelFile) -> bool:
    """Digests, sizes, and the units of tensors, which are exponents of the code."""
    assert ours.tensor_digests == theirs.digests and ours.file_digest == theirs.digest
    assert ours.sizes == theirs.sizes
    assert {name: matrix.exponent for name, matrix in ours.tensors.items()} == theirs.units
    return True


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_model_files(seeds: range) -> None:
    seen: Counter[str] = Counter()
    for seed in seeds:
        rng, data = random.Random(seed), any_case(seed, Sizes(blocks=2, k=2, inputs=4)).data
        assert same(read_weights(data), read_model(data))
        for _ in range(10):
            changed = change_model(rng, data)
            try:
                theirs, code = read_model(changed), ""
            except Refused as refused:
                assert refused.exit_code == 3
                code = refused.code
            try:
                ours = read_weights(changed)
            except Refusal as refusal:
                assert code and refusal.exit_code == 3, (seed, str(refusal), code)
                seen[refusal.code] += 1
                seen["another code"] += refusal.code != code
            else:
                assert not code, (seed, code)
                seen["read"] += same(ours, theirs)
    assert seen["another code"] < 0.15 * seen.total() and len(seen) > 12, seen


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_problems(seeds: range, workspace: Path) -> None:
    """Anything of a certificate about any model and problem."""
    agreement = Agreement()
    for seed in seeds:
        rng, case = random.Random(seed), any_case(seed, Sizes(blocks=2, k=3, inputs=8))
        path = case.write(workspace / "model")
        whole = certificate(case, [12, 90], counted(case, case.oracle.regions(case.problem, case.margin)))
        for _ in range(5):
            statement = copy.deepcopy(whole)
            mutate(rng, statement["predicate"])
            agreement.on(path, json.dumps(statement).encode(), case, seed)
    print(f"\nproblems: {dict(agreement.seen)}")
    assert agreement.seen["VERIFIED"] > 10 and agreement.seen["same code"] > 8 * agreement.seen["another code"]


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_problem_files(seeds: range, workspace: Path) -> None:
    """The problem that is asked, written in another way, or changed."""
    agreement = Agreement()
    for seed in seeds:
        rng, case = random.Random(seed), any_case(seed, Sizes(blocks=1, k=3, inputs=6))
        path, problem = case.write(workspace / "asked"), copy.deepcopy(case.problem)
        empty = json.dumps(certificate(case, [12], [], steps=[])).encode()
        for entry, weights in zip(problem["inputs"], Inputs(problem).weights, strict=True):
            tokens = rng.sample(sorted(weights), len(weights))
            entry |= {"tokens": tokens, "weights": [weights[token] for token in tokens]}
        problem["label"].setdefault("of", list(range(len(problem["inputs"]))))
        said = agreement.on(path, empty, case, seed, json.dumps(problem).encode())
        assert said.code == "nothing-proved"
        for _ in range(4):
            changed = mutated(rng, copy.deepcopy(problem))
            agreement.on(path, empty, case, seed, json.dumps(changed).encode())
    print(f"\nproblem files: {dict(agreement.seen)}")
    assert agreement.seen["other-problem"] > 10 and agreement.seen["another code"] < 10


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_certificates(seeds: range, workspace: Path) -> None:
    """Bytes anywhere."""
    agreement, path = Agreement(), workspace / "tiny"
    path.write_bytes((MODELS / "tiny.safetensors").read_bytes())
    case = case_of(path, None)
    data = (CERTIFICATES / "accept" / "tiny--claim-zero.cert.json").read_bytes()
    for seed in seeds:
        rng = random.Random(seed)
        for _ in range(5):
            agreement.on(path, change_bytes(rng, data), case, seed)
    print(f"\nbytes: {dict(agreement.seen)}")
    assert agreement.seen["same code"] > 20 * agreement.seen["another code"] and len(agreement.seen) > 9
