"""The demonstration: prove and check one shipped model by three strategies, and show what each proof costs."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.table import Table

from certgen.errors import UserError
from certgen.files import as_argument, check_outputs, make_directory
from certgen.models.model_file import load_model
from certgen.progress import bar
from certgen.proving import prove
from certgen.terminal import flush, say, show

# In the repository a link into models/; in an installed package the file itself.
SHIPPED = (Path(__file__).parent / "shipped" / "max-of-4-seed-123.safetensors").resolve()
DEMO_STRATEGIES = ("cubic", "adaptive", "exact")


def demo(model_path: Path, output: Path) -> None:
    """Write a certificate per strategy into `output`, run check-cert on each, and print verdicts, times and sizes."""
    model = load_model(model_path)
    if model_path.is_relative_to(Path.cwd()):
        model_path = model_path.relative_to(Path.cwd())
    make_directory(output)
    argument = as_argument(model_path)
    paths = {strategy: output / f"{model_path.stem}.{strategy}.cert.json" for strategy in DEMO_STRATEGIES}
    check_outputs(paths.values(), [model_path])
    say(f"Model {model_path.name}: max-of-{model.n_ctx}, d_vocab {model.d_vocab}, d_model {model.d_model}.")
    table = Table("strategy", "accuracy proved", "prove", "check", "certificate")
    for strategy, path in paths.items():
        started = time.perf_counter()
        certificate = prove(model, strategy, track=bar)
        size = certificate.save(path)
        proved = time.perf_counter()
        say("")
        say(f"$ {shlex.join(['check-cert', argument, as_argument(path)])}")
        flush()  # the check takes a moment
        command = [sys.executable, "-m", "checker", argument, as_argument(path)]
        run = subprocess.run(command, capture_output=True, text=True)
        checked = time.perf_counter()
        say(run.stdout.strip() or run.stderr.strip())
        if run.returncode != 0:
            raise UserError(f"check-cert refused the {strategy} certificate", f"it is kept at {path}")
        claim = certificate.predicate.claim
        relation = "=" if claim.exact else ">="
        bound = f"{relation} {claim.correct:,} / {claim.total:,}"
        table.add_row(
            strategy, bound, f"{proved - started:.1f} s", f"{checked - proved:.1f} s", f"{size / 1000:.0f} kB"
        )
    say("")
    show(table)
    say(f"The certificates are in {output}/; `certgen explain` tells a proof step by step.")
