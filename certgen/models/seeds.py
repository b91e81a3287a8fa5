"""Which seeds a command trains, and where each trained model goes."""

import os
import re
from pathlib import Path

from certgen.errors import UserError
from certgen.files import make_directory

MOST_SEEDS = 1_000


def parse_seeds(text: str) -> list[int]:
    """The seeds that `text` lists, such as 0-9 or 0,3,7 or 0-4,8, in its order and without repetitions."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", part.strip())
        if match is None:
            raise UserError(f"--seeds {text}: cannot read {part.strip()!r}", "write for example 0-9 or 0,3,7 or 0-4,8")
        span = range(int(match[1]), int(match[2] or match[1]) + 1)
        if not span:
            raise UserError(f"--seeds {text}: the range {part.strip()} is empty", "write the smaller seed first")
        if len(span) + len(seeds) > MOST_SEEDS:
            raise UserError(f"--seeds {text}: more than {MOST_SEEDS} seeds", "train them in several calls")
        seeds.update(dict.fromkeys(span))
    return list(seeds)


def model_paths(output: Path, title: str, seeds: list[int]) -> list[Path]:
    """Where each seed's model goes; in a directory, the files are named after `title` and the seed.

    Directories are created here, before the training, so that a path that cannot work costs no training.
    """
    if "{seed}" in str(output):
        paths = [Path(str(output).replace("{seed}", str(seed))) for seed in seeds]
    elif output.is_dir() or (output.suffix == "" and str(output) != "-" and not os.path.lexists(output)):
        paths = [output / f"{title}-seed-{seed}.safetensors" for seed in seeds]
    elif len(seeds) == 1:
        paths = [output]
    else:
        hint = f"use a directory, or a name such as {output.stem}-{{seed}}.safetensors"
        raise UserError(f"{output} is one file, but there are {len(seeds)} seeds", hint)
    for directory in {path.parent for path in paths}:
        make_directory(directory)
    return paths


def beside(model: Path, kind: str) -> Path:
    """The name of another file about a model, in the same place: m.KIND.json for m.safetensors."""
    return model.with_name(f"{model.name.removesuffix('.safetensors')}.{kind}.json")
