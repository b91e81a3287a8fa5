"""python -m tests.second_verifier MODEL CERTIFICATE [--problem PROBLEM]: for models of few inputs."""

import argparse
import sys
from pathlib import Path

from tests.second_verifier.kernel import SecondVerifier
from tests.second_verifier.refusal import Refused

WORDS = {1: "REJECTED", 3: "MALFORMED", 4: "OTHER-MODEL", 5: "RESOURCE-LIMIT"}


def main(arguments: list[str]) -> int:
    """Prints one line; returns the exit code of section 7."""
    parser = argparse.ArgumentParser(prog="python -m tests.second_verifier", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--problem", type=Path)
    given = parser.parse_args(arguments)
    try:
        problem = given.problem.read_bytes() if given.problem else None
        verdict = SecondVerifier().verify(given.model.read_bytes(), given.certificate.read_bytes(), problem)
    except Refused as refused:
        print(WORDS[refused.exit_code], refused.code, "at", refused.path or "the file")
        return refused.exit_code
    print("VERIFIED", f"correct >= {verdict.correct}", f"wrong >= {verdict.wrong}", f"of {verdict.total}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
