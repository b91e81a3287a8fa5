"""check-cert: re-derive the bounds that certificates claim for a model, or refuse."""

import argparse
import json
import os
import sys
from functools import partial

from checker.budget import Budget, allowed, memory_of
from checker.certificate import Certificate, decode_certificate
from checker.decode import MAX_BYTES, MAX_PRINTED_DIGITS, load_json
from checker.errors import InternalError, Malformed, Refusal, ResourceLimit, about
from checker.jobs import outcome_of, side_by_side
from checker.kernel import Verdict, declared, one_by_one, problem_of, verify
from checker.model.architecture import decode_architecture
from checker.model.weights import MAX_MODEL_BYTES, Weights, read_weights
from checker.problem.problem_file import Stated, decode_problem
from checker.rules.costs import BY_VALUES
from checker.version import __version__

UNLIMITED = 1 << 62
EPILOG = """exit codes: 0 all verified, 1 a proof does not hold, 2 usage, 3 malformed certificate or model,
4 another model, 5 a resource limit, 70 internal error; the largest one when several differ."""


def read(path: str, limit: int) -> bytes:
    """The file's bytes; never more than the limit are read."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Malformed("unreadable-file", "", "a readable file", error.strerror or "") from None
    if len(data) > limit:
        raise Malformed("too-large", "", f"at most {limit} bytes")
    return data


def check(
    model_path: str,
    certificate_path: str,
    budget: int | None = None,
    problem_path: str | None = None,
    jobs: int = 1,
) -> Verdict:
    """The verified claim of one certificate about one model file: exact integers, and the model's SHA-256.

    Raises a Refusal, with its reason as data, for anything else: Rejected (the proof does not hold), Malformed (a file
    that cannot be read, or is not of its format), OtherModel, ResourceLimit. `budget` bounds the operations of the
    whole check, and its memory; without one, the size of the files does. With a problem file, a certificate about any
    other problem is refused. `jobs` processes look at steps side by side. Cost: that of the proof; certgen length
    measures it.
    """
    budget, weights, certificate, problem = files(model_path, certificate_path, budget, problem_path)
    with about("CERT"):
        prover = one_by_one if jobs == 1 else partial(side_by_side, jobs)
        return verify(certificate, weights, budget, problem, prover)


def files(
    model_path: str, certificate_path: str, budget: int | None, problem_path: str | None = None
) -> tuple[int, Weights, Certificate, Stated | None]:
    """The budget, and the contents of the files."""
    sys.set_int_max_str_digits(MAX_PRINTED_DIGITS)  # whatever the environment says
    with about("MODEL"):
        model = read(model_path, MAX_MODEL_BYTES)
    with about("CERT"):
        data = read(certificate_path, MAX_BYTES)
    if budget is None:
        budget = allowed(len(model) + len(data) * (8 if data[:2] == b"\x1f\x8b" else 1))
    memory, problem = memory_of(budget), None
    with about("MODEL"):
        weights = read_weights(model, memory=memory)
    if problem_path is not None:
        with about("PROBLEM"):
            problem = decode_problem(load_json(read(problem_path, MAX_BYTES), memory=memory), "")
    with about("CERT"):
        return budget, weights, decode_certificate(data, memory=memory), problem


def estimate(model_path: str, certificate_path: str, budget: int | None) -> tuple[str, dict[str, object]]:
    """What checking takes, as sizes tell it: a line for each step and one for their sum, and JSON fields. Nothing is
    checked."""
    budget, weights, certificate, _ = files(model_path, certificate_path, budget)
    with about("CERT"):
        problem = problem_of(certificate, weights, UNLIMITED)
        costs = list(declared(problem, certificate.steps))
    steps, lines = [], []
    for index, (step, cost) in enumerate(zip(certificate.steps, costs, strict=True)):
        more = " and more by its values" * (step.rule in BY_VALUES)
        lines.append(f"predicate.steps[{index}] {step.rule}: {cost.operations} operations{more}, {cost.memory} bytes")
        steps.append({"rule": step.rule, "operations": cost.operations, "bytes": cost.memory, "more": bool(more)})
    needed, memory = problem.budget.declared, Budget(budget).memory
    lines.append(f"ESTIMATE {needed} operations; {budget} operations and {memory} bytes are allowed")
    sums = {"operations": needed, "budget": budget, "bytes_allowed": memory}
    return "\n".join(lines), {"verdict": "estimate", "exit_code": ResourceLimit.exit_code, **sums, "steps": steps}


def decimal(numerator: int, denominator: int) -> str:
    """The fraction to five decimals, rounded down."""
    units = numerator * 100_000 // denominator
    return f"{units // 100_000}.{units % 100_000:05d}"


def decimal_up(numerator: int, denominator: int) -> str:
    """The fraction to five decimals, rounded up."""
    return decimal(-(-numerator * 100_000 // denominator), 100_000)


def margin_text(margin: tuple[int, int]) -> str:
    """p or p/q."""
    return "/".join(map(str, margin)).removesuffix("/1")


def profile_text(verdict: Verdict) -> str:
    """The accuracy at other margins, rounded outward, and the mean loss, rounded up; nothing if none is claimed."""
    if verdict.mean_loss is None:
        return ""
    line, total = "", verdict.total
    for row in verdict.profile:
        if row.margin != verdict.margin:
            most = total - row.wrong
            line += f" {margin_text(row.margin)}: {'=' if row.correct == most else '>='} {decimal(row.correct, total)}"
            line += f" <= {decimal_up(most, total)}" if row.correct < most < total else ""
    return f"{line and ' margins'}{line} mean-loss <= {decimal_up(*verdict.mean_loss)}"


def describe(outcome: Verdict | Refusal, file: str = "CERT") -> tuple[str, dict[str, object]]:
    """The outcome for a certificate, called CERT or CERT 2, as a verdict line and as JSON fields."""
    if isinstance(outcome, Refusal):
        outcome.file = outcome.file if outcome.file in ("MODEL", "PROBLEM") else file
        data: dict[str, object] = {
            "verdict": outcome.word.lower(),
            "exit_code": outcome.exit_code,
            "file": outcome.file,
            "code": outcome.code,
        }
        data |= {"path": outcome.path, "expected": outcome.expected, "got": outcome.got}
        return f"{outcome.word} {outcome}", data
    fields: dict[str, object] = {"task": outcome.task, "d_vocab": outcome.d_vocab}
    fields |= {"arch": decode_architecture(outcome.architecture).brief} if outcome.architecture else {}
    fields |= {"semantics": outcome.semantics, "margin": margin_text(outcome.margin)}
    fields |= {"problem": f"sha256:{outcome.problem}"} if outcome.problem else {}
    fields |= {"model": f"sha256:{outcome.digest}"}
    bound, total, most = decimal(outcome.correct, outcome.total), outcome.total, outcome.total - outcome.wrong
    line = f"VERIFIED accuracy {'=' if outcome.correct == most else '>='} {outcome.correct}/{total} ({bound}) "
    if outcome.correct < most < total:
        line += f"and <= {most}/{total} ({decimal_up(most, total)}) "
    line += " ".join(f"{name}={value}" for name, value in fields.items()) + profile_text(outcome)
    line += "" if file == "CERT" else f" in {file}"
    counts = {"correct": outcome.correct, "wrong": outcome.wrong, "total": outcome.total}
    fields |= {"architecture": json.loads(outcome.architecture)} if outcome.architecture else {}
    if outcome.mean_loss is not None:
        rows = [
            {"margin": margin_text(row.margin), "correct": row.correct, "wrong": row.wrong} for row in outcome.profile
        ]
        fields |= {"profile": rows, "mean_loss": margin_text(outcome.mean_loss)}
    return line, {"verdict": "verified", "exit_code": 0, "file": file, **counts, **fields}


def positive(text: str) -> int:
    """A number of sequences, or of processes, from the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(arguments: list[str] | None = None) -> int:
    """Print one verdict line per certificate, in order; return the exit code."""
    parser = argparse.ArgumentParser(prog="check-cert", description=__doc__, epilog=EPILOG)
    parser.add_argument("model", metavar="MODEL", help="the model's weights, a .safetensors file")
    parser.add_argument("certificates", metavar="CERT", nargs="+", help="a .cert.json or .cert.json.gz file")
    parser.add_argument("--problem", metavar="PROBLEM", help="a problem file; a certificate about another is refused")
    parser.add_argument("--json", action="store_true", help="one JSON object per certificate instead of a line of text")
    parser.add_argument("--quiet", action="store_true", help="no output; the exit code says it all")
    help_text = "most operations before refusing with exit code 5 (default by the size of the files)"
    parser.add_argument("--budget", type=positive, metavar="N", help=help_text)
    help_text = "print what checking each step would take, and check nothing; the exit code is 5"
    parser.add_argument("--estimate", action="store_true", help=help_text)
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes, if there are several steps")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    codes = []
    for number, path in enumerate(options.certificates, 1):
        file = f"CERT {number}" if len(options.certificates) > 1 else "CERT"
        if options.estimate:
            found = outcome_of(partial(estimate, options.model, path, options.budget))
            line, data = describe(found, file) if isinstance(found, Refusal) else found
        else:
            work = partial(check, options.model, path, options.budget, options.problem, options.jobs)
            line, data = describe(outcome_of(work), file)
        codes.append(int(str(data["exit_code"])))
        if not options.quiet and not written(json.dumps(data) if options.json else line):
            codes.append(InternalError.exit_code)
            break
    return max(codes)


def written(line: str) -> bool:
    """Print a verdict; a verdict that nobody can read must not end in an exit code that looks like one."""
    if sys.stdout is None:  # it was closed before the program began, and print would do nothing
        return False
    try:
        print(line, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing left to fail at exit
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
