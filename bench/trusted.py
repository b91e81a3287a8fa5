"""How much code a verdict rests on: python bench/trusted.py writes the table of docs/trust.md.

For a certificate of each kind: the rules that its steps name, with the lemmas that these import; beside what every
certificate needs. Comments, docstrings and blank lines do not count.
"""

import ast
import json
from functools import cache
from pathlib import Path

from run import code_lines

ROOT = Path(__file__).resolve().parent.parent
CHECKER, ACCEPTED = ROOT / "checker", ROOT / "tests" / "certificates" / "accept"
PAGE, OPENING, CLOSING = ROOT / "docs" / "trust.md", "<!-- measured: lines per verdict -->\n", "<!-- end -->"
LIMITS = [CHECKER / "budget.py", CHECKER / "model" / "sizes.py", CHECKER / "rules" / "costs.py"]
OF_ALL_RULES = [CHECKER / "rules" / name for name in ("__init__.py", "rule.py")]
KINDS = {
    "`brute-force`, of any model": "tiny--evaluate_inputs",
    "`brute-force`, of max-of-k by one head": "tiny--brute-force",
    "`cubic`": "tiny--cubic",
    "the sub-cubic family": "tiny--sub-cubic--max-diff-exact--mean-query+diff--exact-EQKE",
    "`separable-by-max`": "tiny--separable-by-max",
    "`two-sided`, and `adaptive` of max-of-k by one head": "tiny--both-sides",
    "`regions`, `separable` and `adaptive` of any layer": "tiny--regions",
    "`cubic`, with `--margins`": "tiny--profile-two-strategies",
    "`cubic`, with `--semantics float32-any-order`": "tiny--float32-cubic",
    "`brute-force`, with `--semantics float32-any-order`": "flat--float32-inputs",
}


@cache
def lemmas(path: Path) -> frozenset[Path]:
    """The lemmas that a file of the checker imports, and those that these import."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("checker.lemmas."):
            own = ROOT / f"{(node.module or '').replace('.', '/')}.py"
            found |= {own} | lemmas(own)
    return frozenset(found)


def rules_of(certificate: str) -> list[str]:
    """The rules that its steps name."""
    steps = json.loads((ACCEPTED / f"{certificate}.cert.json").read_text(encoding="utf-8"))["predicate"]["steps"]
    return sorted({step["rule"] for step in steps})


def lines_of(paths: list[Path]) -> int:
    return sum(map(code_lines, paths))


def table() -> str:
    """Rows of the page."""
    every = [path for path in CHECKER.rglob("*.py") if path.parent.name not in ("lemmas", "rules")]
    engine = [path for path in every if path not in LIMITS and path.name != "kernel.py"]
    # what stands behind all certificates imports lemmas, too
    shared = set().union(*map(lemmas, [*engine, *OF_ALL_RULES]))
    rows = [
        "| what | rules | code lines |",
        "|---|---|---|",
        f"| the kernel | | {lines_of([CHECKER / 'kernel.py'])} |",
        f"| files, integers, models, problems, for every proof | | {lines_of([*engine, *OF_ALL_RULES, *shared])} |",
        f"| limits of work, which can only refuse | | {lines_of(LIMITS)} |",
    ]
    for kind, certificate in KINDS.items():
        rules = rules_of(certificate)
        own = [CHECKER / "rules" / f"{rule}.py" for rule in rules]
        used = {*own}.union(*map(lemmas, own)) - shared
        rows.append(f"| {kind}, besides | {', '.join(f'`{rule}`' for rule in rules)} | {lines_of(sorted(used))} |")
    return "\n".join(rows)


def main() -> None:
    before, _, after = PAGE.read_text(encoding="utf-8").partition(OPENING)
    PAGE.write_text(f"{before}{OPENING}\n{table()}\n\n{after[after.index(CLOSING) :]}", encoding="utf-8")


if __name__ == "__main__":
    main()
