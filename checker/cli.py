"""check-cert: re-derive the bounds that certificates claim for a model, or refuse."""

import argparse
import json
import os
import sys
from functools import partial

from checker.certificate import decode_certificate
from checker.decode import MAX_BYTES, load_json
from checker.errors import InternalError, Malformed, Refusal, about
from checker.jobs import outcome_of, side_by_side
from checker.kernel import Verdict, one_by_one, verify
from checker.model.architecture import decode_architecture
from checker.model.weights import MAX_MODEL_BYTES, read_weights
from checker.problem.problem_file import decode_problem
from checker.version import __version__

DEFAULT_BUDGET = 1 << 25
MAX_PRINTED_DIGITS = 4300  # CPython's own limit, and above every number that a certificate can hold
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
    budget: int = DEFAULT_BUDGET,
    problem_path: str | None = None,
    jobs: int = 1,
) -> Verdict:
    """The verified claim of one certificate about one model file: exact integers, and the model's SHA-256.

    Raises a Refusal, with its reason as data, for anything else: Rejected (the proof does not hold), Malformed (a file
    that cannot be read, or is not of its format), OtherModel, ResourceLimit. `budget` bounds, for each step by itself,
    the sequences or prefixes that it enumerates, or the thousands of multiply-adds with which it evaluates inputs. With
    a problem file, a certificate about any other problem is refused. `jobs` processes look at steps side by side. Cost:
    that of the proof; certgen length measures it.
    """
    with about("MODEL"):
        weights = read_weights(read(model_path, MAX_MODEL_BYTES))
    problem = None
    if problem_path is not None:
        with about("PROBLEM"):
            problem = decode_problem(load_json(read(problem_path, MAX_BYTES)), "")
    with about("CERT"):
        prover = one_by_one if jobs == 1 else partial(side_by_side, jobs)
        return verify(decode_certificate(read(certificate_path, MAX_BYTES)), weights, budget, problem, prover)


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
    sys.set_int_max_str_digits(MAX_PRINTED_DIGITS)  # whatever the environment says
    parser = argparse.ArgumentParser(prog="check-cert", description=__doc__, epilog=EPILOG)
    parser.add_argument("model", metavar="MODEL", help="the model's weights, a .safetensors file")
    parser.add_argument("certificates", metavar="CERT", nargs="+", help="a .cert.json or .cert.json.gz file")
    parser.add_argument("--problem", metavar="PROBLEM", help="a problem file; a certificate about another is refused")
    parser.add_argument("--json", action="store_true", help="one JSON object per certificate instead of a line of text")
    parser.add_argument("--quiet", action="store_true", help="no output; the exit code says it all")
    help_text = f"most work in a step before refusing with exit code 5 (default {DEFAULT_BUDGET})"
    parser.add_argument("--budget", type=positive, default=DEFAULT_BUDGET, metavar="N", help=help_text)
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="processes, if there are several steps")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    options = parser.parse_args(arguments)
    codes = []
    for number, path in enumerate(options.certificates, 1):
        file = f"CERT {number}" if len(options.certificates) > 1 else "CERT"
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
