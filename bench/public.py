"""How long it takes to certify public models: python bench/public.py CHECKPOINTS.

Runs the commands of docs/public-models.md on the checkpoints in this folder, and prints for each check the seconds and
their ratio to the yardstick of bench/run.py. Exit code 1 if a target is missed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from run import show, timed  # noqa: E402

from tests.examples import Session, blocks  # noqa: E402

TARGETS = {"april": 60, "dyck": 10, "cumsum": 180, "addition": 120}  # seconds for a check


def main() -> int:
    """Prove what the page proves, time its checks, and compare with the targets."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoints", type=Path, metavar="CHECKPOINTS", help="the folder with the files of the page")
    options = parser.parse_args()
    rows, missed = [["model", "check = ratio", "target", "result"]], False
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder))
        for path in options.checkpoints.resolve().glob("*.pt"):
            if not (session.folder / path.name).exists():
                (session.folder / path.name).symlink_to(path)
        for block in blocks((ROOT / "docs" / "public-models.md").read_text(encoding="utf-8")):
            for step in block.steps:
                program, *words = step.code.split()
                if program != "check-cert":
                    session.run(block.language, step)
                    continue
                print(f"measuring {words[0]}", file=sys.stderr)
                files = [session.folder / word if "." in word else word for word in words]
                timing, _ = timed(("-m", "checker", *files), 1)
                target = TARGETS.get(Path(words[0]).stem)
                late = target is not None and timing.seconds >= target
                missed |= late
                shown = "" if target is None else f"< {target} s"
                rows.append([words[0], str(timing), shown, "MISSED" if late else shown and "met"])
    show(rows)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
