"""From a directory of results to the page and its images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from certgen.files import check_outputs, is_regular, write_atomically
from certgen.progress import Track, quiet
from certgen.report.images import NoImages, write_images
from certgen.report.page import page, plots
from certgen.report.results import Results, load_results
from certgen.report.sections import choice, count, sections, subjects, summary


@dataclass(frozen=True)
class Written:
    """What was written: a line about the page, its size in bytes, the directory of images or why there is none."""

    summary: str
    size: int
    images: Path | NoImages


def sources(results: Results) -> set[Path]:
    """The files that the results are, or speak of, as far as they exist."""
    names = {name for row in results.rows for name in (row.model_path, row.certificate)}
    return {results.directory / "results.parquet"} | {
        folder / name for name in names for folder in (Path(), results.directory)
    }


def write_report(directory: Path, output: Path, model: Path | None = None, track: Track = quiet) -> Written:
    """Write the page to `output`, and its figures as PNG and SVG to a directory beside it.

    Every model can be chosen on the page; `model` is the one that it shows first, and whose figures become files; by
    default the first of the results whose file is found. A page that goes into a pipe or a device has no images.
    UserError when the results cannot be read, or the page cannot be written or would replace one of them. Cost: some
    seconds for each model, and for the images.
    """
    results = load_results(directory)
    check_outputs([output], [model, *sources(results)])
    about = subjects(results, model, track)
    made = sections(results, about, track)
    chosen = choice(about)
    folder = output.with_name(f"{output.stem}-figures")
    images: Path | NoImages = folder
    try:
        if not is_regular(output):
            raise NoImages(f"no PNG and SVG files: {output} is no file to put them beside", "write the page to a file")
        write_images(plots(made, chosen), folder)
    except NoImages as error:
        images = error
    which = "" if any(task.other for task in results.tasks) else " that take the maximum"
    lead = f"{summary(results)}: how accurate small transformers{which} are, and how that is proved."
    if results.failures:
        lead += f' <a href="#failures">{count(len(results.failures), "proof")} could not be made.</a>'
    text = page("Proofs of accuracy", lead, made, chosen, None if isinstance(images, NoImages) else folder.name)
    data = text.encode()
    write_atomically(output, data)
    return Written(summary(results), len(data), images)
