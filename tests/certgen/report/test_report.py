"""`certgen report`: the numbers on the page, that data stays data, and the page in a real browser."""

import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from plotly.offline import get_plotlyjs

from certgen.certificate.losses import Share, losses, sizes_by_n, with_maximum
from certgen.certificate.statement import Certificate
from certgen.decimals import at_least, at_most, percent_at_least, percent_at_most
from certgen.errors import UserError
from certgen.length import reading_length
from certgen.measures.error_table import ErrorRow
from certgen.models.model_file import load_model
from certgen.proving import prove
from certgen.report import figures, heat_maps, images, sections, tables, writing
from certgen.report.axes import LostAxis, percent, power, ticks
from certgen.report.markup import label, powers, scientific, text, wrapped
from certgen.report.page import Section
from certgen.report.published import PUBLISHED, TASKS
from certgen.report.results import Results, Task, best_of_class, find_certificate, load_results
from certgen.report.scores import EQKE, singular_ratio
from certgen.report.styles import OTHERS, STYLES, styles
from certgen.report.table_one import table_one
from certgen.strategies import COSTS, STRATEGIES
from tests.conftest import ROOT
from tests.support.tiny import near_correct, tiny_model

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium or Chrome on the PATH: apt-get install chromium"
)

PROVED = (
    "brute-force",
    "cubic",
    "separable-relaxed",
    "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE",
    "sub-cubic/max-diff-exact/upper-envelope/max-diff-subproduct",
    "sub-cubic/mean-query+max-diff/mean-query+diff/max-diff-subproduct-recursive",
)
HOSTILE = """</script><script>alert('"1"')</script><img src=x onerror=alert(2)>&amp;{x}\x1b[31m\u202e\n"""
ANCHORS = ("claim", "table-one", "length", "dimension", "faithfulness", "error-table", "mechanism", "losses", "classes")
MEANS = ("bound-against-length-mean-of-3-vocab-5", "bound-against-dimension-mean-of-3-vocab-5")
OF_MODEL = (
    *("bound-against-length", "bound-against-dimension"),
    *("EQKE", "EVOU", "EUPU", "position-scores", "losses-by-maximum", "losses-by-n"),
)
FIGURES = (*MEANS, *OF_MODEL)  # what is drawn at first, and becomes files


def record(**given: Any) -> dict[str, Any]:
    """A row of a sweep with made-up numbers; a bound that is given says how many of 10,000 sequences are proved."""
    if "bound" in given and "correct" not in given and given["bound"] is not None:
        given |= {"correct": str(round(given["bound"] * 10_000)), "total": "10000"}
    usual = {
        **{"model": "toy", "model_path": "toy.safetensors", "model_sha256": "0" * 64, "k": 4, "d_vocab": 64, "seed": 1},
        **{"strategy": "cubic", "cost_class": "cubic", "margin": "0", "correct": "3", "total": "4", "bound": 0.75},
        **{"true_accuracy": 1.0, "true_low": 1.0, "true_high": 1.0, "true_how": "exact", "normalised": 0.75},
        **{"length_ops": 1000, "bytes": 9, "prove_s": 0.1, "check_s": 0.1, "flops": None},
        **{"unexplained_dimension": 100.0, "certificate": None, "command": "certgen prove", "error": None},
    }
    return usual | given


def write_results(directory: Path, records: list[dict[str, Any]]) -> Path:
    """The directory as `certgen sweep` writes it, without certificates."""
    directory.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), directory / "results.parquet")
    return directory


def proved(directory: Path, hostile: bool = False) -> Path:
    """Two tiny models, proved by PROVED; with `hostile`, all text that the results may hold is HOSTILE as well."""
    (directory / "certificates").mkdir(parents=True)
    mark = HOSTILE if hostile else ""
    records = []
    for seed in (0, 1):
        path = tiny_model(directory / f"tiny-{seed}.safetensors", near_correct(np.random.default_rng(seed), v=5, k=3))
        model = load_model(path)
        truth = prove(model, "brute-force").predicate.claim
        for number, strategy in enumerate(PROVED):
            certificate = prove(model, strategy)
            claim = certificate.predicate.claim
            name = f"certificates/{seed}-{number}.cert.json.gz"
            size = certificate.save(directory / name)
            records.append(
                record(
                    model=f"tiny-{seed}{mark}",
                    model_path=str(path),
                    model_sha256=model.sha256,
                    k=3,
                    d_vocab=5,
                    seed=seed,
                    strategy=strategy + mark,
                    cost_class=STRATEGIES[strategy].cost_class + mark,
                    correct=str(claim.correct),
                    total=str(claim.total),
                    bound=claim.correct / claim.total,
                    true_accuracy=truth.correct / truth.total,
                    true_how=f"exact{mark}",
                    normalised=claim.correct / truth.correct,
                    length_ops=size * 100,
                    unexplained_dimension=float("nan") if number == 2 else 1000.0 / (number + 1),
                    certificate=name,
                    command=f"certgen prove tiny-{seed}.safetensors --strategy {strategy}{mark}",
                )
            )
    failed = {"correct": None, "total": None, "bound": None, "normalised": None, "length_ops": None}
    records.append(records[0] | failed | {"strategy": f"exact{mark}", "certificate": None, "error": f"too long{mark}"})
    return write_results(directory, records)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return proved(tmp_path_factory.mktemp("results") / "of a sweep")


@pytest.fixture(scope="module")
def report(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, written by the command."""
    page = tmp_path_factory.mktemp("page") / "my report.html"
    done = certgen("report", results, "-o", page)
    assert done.returncode == 0, done.stderr
    assert f"{page}: 12 proofs by 6 strategies about 2 models, {page.stat().st_size:,} bytes\n" in done.stdout
    return page


def certgen(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from certgen.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


class Elements(HTMLParser):
    """The elements of a page: (tag, attributes, ids of the elements around it)."""

    VOID = frozenset(("meta", "link", "img", "br", "hr", "input", "wbr"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.open: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.found.append((tag, attributes, tuple(name for _, name in self.open if name)))
        if tag not in self.VOID:
            self.open.append((tag, attributes.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        if any(name == tag for name, _ in self.open):
            while self.open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not any(tag in ("script", "style") for tag, _ in self.open):
            self.words.append(data)

    def ids(self) -> set[str]:
        return {attributes["id"] or "" for _, attributes, _ in self.found if "id" in attributes}

    def links(self) -> Iterator[str]:
        return (attributes["href"] or "" for tag, attributes, _ in self.found if tag == "a" and "href" in attributes)


# The page


def test_the_page_has_all_sections_and_figures(report: Path) -> None:
    page = Elements(report.read_text())
    assert page.ids() >= {*ANCHORS, *FIGURES, "failures"}
    words = " ".join(page.words)
    assert "Of all v" in words
    assert "0.9539 ±\u00a00.0080" not in words, "published values are for the paper's tasks only"
    assert "max row diff on subproduct" in words
    assert "too long" in words


def test_the_page_loads_nothing(report: Path) -> None:
    page = Elements(report.read_text())
    for tag, attributes, _ in page.found:
        assert "src" not in attributes, tag
        if "href" in attributes and tag != "a":
            assert (tag, attributes["href"]) == ("link", "data:,")
    assert {link for link in page.links() if ":" in link} == {"https://arxiv.org/abs/2406.11779"}
    assert not re.search(r"@import|url\(", (ROOT / "certgen/report/style.css").read_text())
    assert report.read_text().count("plotly.js v") == 1, "plotly.js is there once"


def test_published_values_stand_beside_ours(tmp_path: Path) -> None:
    page = page_of(write_results(tmp_path / "results", [record()]))
    assert "0.9539 ±\u00a00.0080" in page and "0.316 ±\u00a00.037" in page
    assert "float32" in page


def test_nothing_is_said_about_published_values_where_none_are_shown(report: Path, tmp_path: Path) -> None:
    """The models of `report` are for a task that the paper does not have."""
    assert "ublished" not in " ".join(Elements(report.read_text()).words)
    shown = errors_of(published=True)
    assert "~97" in shown and "ublished" in shown
    assert "~97" not in errors_of(published=False) and "ublished" not in errors_of(published=False)


def errors_of(published: bool) -> str:
    return tables.errors([ErrorRow("recursive", 3.0001, "v d", None, "97")], "toy", published)


def page_of(directory: Path, **options: Any) -> str:
    """The page of these results, without images."""
    output = directory.parent / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "write_images", no_images)
        writing.write_report(directory, output, **options)
    return output.read_text()


def no_images(*_: Any) -> None:
    raise images.NoImages("none in this test")


def test_a_page_never_replaces_what_it_is_about(results: Path, tmp_path: Path) -> None:
    """The table, the certificates, the models; also through a link."""
    sources = [results / "results.parquet", *results.glob("certificates/*"), *results.glob("*.safetensors")]
    before = {path: path.read_bytes() for path in sources}
    (tmp_path / "link").symlink_to(sources[0])
    for output in (*sources, tmp_path / "link"):
        with pytest.raises(UserError, match="same file"):
            writing.write_report(results, output)
    given = tiny_model(tmp_path / "given.safetensors", near_correct(np.random.default_rng(2), v=5, k=3))
    with pytest.raises(UserError, match="same file"):
        writing.write_report(results, given, given)
    assert {path: path.read_bytes() for path in sources} == before and load_model(given).n_ctx == 3
    assert len(sources) == 15


def test_a_page_goes_into_a_pipe_without_images(tmp_path: Path) -> None:
    """Before, the pipe, or even /dev/stdout, was replaced by a file, and had a folder of figures beside it."""
    directory, pipe = write_results(tmp_path / "results", [record()]), tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    written = writing.write_report(directory, pipe)
    reader.join(timeout=10)
    assert received[0].startswith("<!DOCTYPE html>") and isinstance(written.images, images.NoImages)
    assert pipe.is_fifo() and sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "results"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    bare = record(length_ops=None, unexplained_dimension=None, true_accuracy=None, normalised=None)
    page = page_of(write_results(tmp_path / "results", [bare]))
    words = " ".join(" ".join(Elements(page).words).split())
    assert "no row has length_ops" in words
    assert "no row has unexplained_dimension" in words
    assert words.count("its file was not found") == 2
    assert "no certificate about toy was found" in words


def figure(page: str, name: str) -> dict[str, Any]:
    """A figure of a page, as plotly gets it."""
    found = re.search(rf'id="{name}"></div><script type="application/json">(.*?)</script>', page)
    assert found is not None, name
    drawn: dict[str, Any] = json.loads(found[1])
    return drawn


def test_every_model_can_be_chosen_and_is_named(report: Path) -> None:
    """In the list, and wherever something is about one model: in the figure itself and in its caption."""
    page = report.read_text()
    elements = Elements(page)
    loaded = [at["value"] for tag, at, around in elements.found if tag == "option" and "model" in around]
    assert len(loaded) == 2 and all(loaded)
    for digest in loaded:
        about = [at for _, at, _ in elements.found if at.get("data-model") == digest]
        assert len(about) == 6, "claims, length, dimension, errors, mechanism, losses"
    for number, name in enumerate(("tiny-0", "tiny-1"), start=1):
        for kind in OF_MODEL:
            drawn = figure(page, kind if number == 1 else f"{kind}-{number}")
            assert name in drawn["layout"]["title"]["text"]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.DOTALL)
    captions += re.findall(r'<p class="caption">(.*?)</p>', page, re.DOTALL)
    assert len(captions) == len(MEANS) + 2 * len(OF_MODEL) + 2 * 3 + 3
    assert all(re.search(r"tiny-[01]|2 models|every proof that the sweep could not", one, re.I) for one in captions)


def test_another_model_can_be_first(results: Path, tmp_path: Path) -> None:
    loaded = load_results(results)
    first, second = sections.subjects(loaded, results / "tiny-1.safetensors")
    assert (first.name, second.name) == ("tiny-1", "tiny-0")
    assert (first.figure_name("EVOU"), second.figure_name("EVOU")) == ("EVOU", "EVOU-2")
    assert sections.choice([first, second]).first == first.digest
    path = tiny_model(tmp_path / "other.safetensors", near_correct(np.random.default_rng(7), v=4, k=2))
    other, *_ = everything = sections.subjects(loaded, path)
    assert [one.name for one in everything] == ["other", "tiny-0", "tiny-1"]
    assert "no certificate about other was found" in sections.lost(other).body
    assert [one.name for one in sections.mechanism(other).figures] == ["EQKE", "EVOU", "EUPU", "position-scores"]
    assert "it is not in the results" in sections.claimed(other).body


def test_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rows = [record(model_sha256=f"{digit}" * 64) for digit in range(2)]
    assert [*load_results(write_results(tmp_path, rows)).names.values()] == ["toy (00000000)", "toy (11111111)"]


def test_a_model_file_that_changed_is_not_taken_for_the_model(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    records = pyarrow.parquet.read_table(results / "results.parquet").to_pylist()
    for one in records:
        one["model_path"] = "tiny-0.safetensors"  # relative to the results; for the second model, another file
    loaded = load_results(write_results(tmp_path / "results", records))
    found = {subject.name: subject.model for subject in sections.subjects(loaded, None)}
    assert found["tiny-0"] is not None and found["tiny-0"].sha256 == loaded.rows[0].model_sha256
    assert found["tiny-1"] is None


def test_a_certificate_outside_the_results_is_not_read(results: Path) -> None:
    loaded = load_results(results)
    row = loaded.rows[0]
    assert find_certificate(loaded, row) is not None
    outside = results.parent / "outside.cert.json.gz"
    shutil.copy(results / row.certificate, outside)
    for path in ("../outside.cert.json.gz", str(outside), "", "certificates/none.cert.json"):
        assert find_certificate(loaded, type(row)(**{**vars(row), "certificate": path})) is None


# Data is data


def test_markup() -> None:
    assert label("<b>&") == "&lt;b&gt;&amp;"
    assert wrapped("a <i>" + " b" * 60).startswith("a &lt;i&gt; b") and "<br>" in wrapped("a" + " b" * 60)
    assert powers("v^3 k") == "v<sup>3</sup> k"
    assert scientific(6.04e8) == "6.1 × 10<sup>8</sup>" and scientific(9.99e8) == "1.0 × 10<sup>9</sup>"
    assert scientific(6e8) == "6.0 × 10<sup>8</sup>"


def test_what_cannot_be_seen_is_written_out() -> None:
    assert text("a\x1b[31m\n\u202eb\udc80") == r"a\x1b[31m\n\u202eb\udc80"
    assert label("<\x00>") == r"&lt;\x00&gt;"
    assert r"\x1b" in wrapped("\x1b") and "\x1b" not in wrapped("\x1b")
    assert text("max-of-4 \u00a0ü日本") == "max-of-4 \u00a0ü日本"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = proved(tmp_path_factory.mktemp("hostile") / "results", hostile=True)
    page_of(directory)
    return directory.parent / "page.html"


def test_hostile_text_is_shown_as_text(hostile: Path) -> None:
    page = Elements(hostile.read_text())
    assert not [tag for tag, attributes, _ in page.found if tag == "img" or "onerror" in attributes]
    harmless = sum(tag == "script" for tag, _, _ in page.found)
    assert harmless == len(MEANS) + 2 * len(OF_MODEL) + 2  # the data of each figure, plotly.js, page.js
    assert not {"\x1b", "\u202e"} & {*hostile.read_text().replace(get_plotlyjs(), "")}
    words = "".join(page.words)
    assert words.count("<img src=x onerror=alert(2)>") >= 10
    assert "onerror" in hostile.read_text()


# Numbers


@pytest.mark.parametrize(
    ("number", "places", "down", "up"),
    [
        (Fraction(9_999_999, 10_000_000), 4, "0.9999", "1.0000"),
        (Fraction(1), 4, "1.0000", "1.0000"),
        (Fraction(1, 10**30), 3, "0.000", "0.001"),
        (0, 3, "0.000", "0.000"),
        (Fraction(2, 3), 2, "0.66", "0.67"),
        (1 - 2**-53, 6, "0.999999", "1.000000"),
        (97.25, 0, "97", "98"),
    ],
)
def test_rounding_never_strengthens(number: Fraction | float, places: int, down: str, up: str) -> None:
    assert (at_least(number, places), at_most(number, places)) == (down, up)
    assert percent_at_least(number, 0) == f"{at_least(Fraction(number) * 100, 0)}%"
    assert percent_at_most(Fraction(1, 10**9)) == "0.001%"


def test_one_is_printed_only_for_all(tmp_path: Path) -> None:
    """Of 64^4 sequences all but one; and of 128^10, where a float cannot tell that one from none."""
    rows = []
    for number, total in enumerate((64**4, 128**10)):
        almost = {"correct": str(total - 1), "total": str(total), "true_accuracy": 1.0, "bound": (total - 1) / total}
        rows.append(record(model_sha256=f"{number}" * 64, model=f"m{number}", k=2 + number, **almost))
    directory = write_results(tmp_path / "results", rows)
    words = Elements(page_of(directory)).words
    assert "0.9999" in words and words.count("1.0000") == 2, "only the true accuracy is 1"
    assert "99.999%" in words and "100.000%" not in words and "0.000%" not in words
    for one in load_results(directory).rows:
        assert one.of_truth is not None and one.of_truth < 1
    assert errors_of(published=False).count("3.001") == 1, "an upper bound is rounded up"


def rows_of(directory: Path, *proofs: tuple[str, str, int | None, float]) -> Results:
    """Results of (model, strategy, length, bound)."""
    records = [
        record(model=model, model_sha256=model, strategy=strategy, length_ops=length, bound=bound)
        for model, strategy, length, bound in proofs
    ]
    return load_results(write_results(directory, records))


def test_frontier(tmp_path: Path) -> None:
    proofs = [(10, 0.5), (5, 0.2), (7, 0.2), (10, 0.4), (20, 0.5), (30, 0.9), (1, 0.0), (5, 0.3), (40, 0.8), (None, 1)]
    loaded = rows_of(tmp_path, *(("a", f"s{i}", length, bound) for i, (length, bound) in enumerate(proofs)))
    best = figures.frontier(figures.points(loaded.rows, "a"))
    assert [(point.length, float(1 - point.lost)) for point in best] == [(1, 0.0), (5, 0.3), (10, 0.5), (30, 0.9)]
    assert figures.frontier([]) == []


def test_the_area_under_the_frontier_is_one_number(tmp_path: Path) -> None:
    """As a share of the true accuracy, up to brute force: about 4 v^(k + 1), unless its length was measured."""
    path = tiny_model(tmp_path / "m.safetensors", near_correct(np.random.default_rng(0), v=9, k=4))
    model = load_model(path)
    reading, estimate = reading_length(model.file_bytes), 4 * 9**5
    about = {"model_path": str(path), "model_sha256": model.sha256, "k": 4, "d_vocab": 9, "true_accuracy": 0.5}
    half = record(**about, bound=0.25, length_ops=math.isqrt(reading * estimate))
    page = page_of(write_results(tmp_path / "estimated", [half]))
    assert "<strong>0.250</strong>" in page, "half of the accuracy for half of the way"
    assert "brute force about 4 v<sup>K+1</sup>" in page
    tried = record(**about, strategy="brute-force", cost_class="brute-force", bound=0.5, length_ops=reading**2)
    page = page_of(write_results(tmp_path / "measured", [half | {"length_ops": reading}, tried]))
    assert "<strong>0.500</strong>" in page and "brute force about" not in page
    page = page_of(write_results(tmp_path / "lost", [half | {"model_path": "nowhere"}]))
    assert "There is no area under the frontier of toy here: its file was not found" in page


AVERAGED = (
    *(("a", "long", 100, 0.9), ("b", "long", 300, 0.8)),
    *(("a", "short", 10, 0.5), ("b", "short", 30, 0.4)),
    *(("a", "beaten", 40, 0.47), ("b", "beaten", 20, 0.41)),
    ("a", "only of a", 5, 0.99),
)


def test_what_is_averaged_is_drawn(tmp_path: Path) -> None:
    """Means of strategies that all models have, and the frontier of just these; those of one model are named."""
    rows_of(tmp_path / "results", *AVERAGED)
    page = page_of(tmp_path / "results")
    line, points = figure(page, "bound-against-length-mean-of-4-vocab-64")["data"]
    assert line["name"] == "frontier" and line["line"]["shape"] == "hv"
    assert line["x"] == [20, 200, 200] and line["y"] == pytest.approx([0.55, 0.15, 0.15])
    assert sorted(zip(points["x"], points["y"], strict=True)) == [
        (20, pytest.approx(0.55)),
        (30, pytest.approx(0.56)),
        (200, pytest.approx(0.15)),
    ]
    assert "Not drawn, because they were not used on all of these 2 models: <code>only of a</code>" in page
    line, points = figure(page, "bound-against-length")["data"]
    assert line["x"] == [5, 100] and len(points["x"]) == 4, "of one model, its own proofs and frontier"


@pytest.mark.parametrize("name", [*(kind for kind in FIGURES if "length" in kind), "bound-against-length-2"])
def test_no_point_lies_above_the_frontier_or_the_true_accuracy(report: Path, name: str) -> None:
    drawn = figure(report.read_text(), name)
    line, *marks = drawn["data"]
    truth = [shape["y0"] for shape in drawn["layout"]["shapes"] if shape["type"] == "line"]
    assert len(truth) == 1
    for trace in marks:
        for x, y in zip(trace["x"], trace["y"], strict=True):
            reached = [best for at, best in zip(line["x"], line["y"], strict=True) if at <= x]
            assert reached and y >= min(reached) * (1 - 1e-12) and y >= truth[0] * (1 - 1e-9)


def test_the_axis_of_what_is_not_proved(tmp_path: Path) -> None:
    """Bounds that differ in the fourth decimal are far apart; the smallest loss is on top."""
    close = [("a", f"s{i}", 10 + i, bound) for i, bound in enumerate((0.5, 0.999, 0.9999))]
    rows_of(tmp_path / "results", *close)
    page = page_of(tmp_path / "results")
    drawn = figure(page, "bound-against-length")
    axis = drawn["layout"]["yaxis"]
    assert axis["type"] == "log" and axis["range"][0] > axis["range"][1]
    assert [*drawn["data"][1]["y"]] == pytest.approx([0.5, 0.001, 0.0001])
    assert axis["ticktext"] == ["0.01%", "0.1%", "1%", "10%", "0"], "the true accuracy is 1: nothing is wrong"
    nothing = axis["tickvals"][-1]
    assert axis["range"][1] < math.log10(nothing) < -4, "on a line of its own above the others"
    assert [shape["y0"] for shape in drawn["layout"]["shapes"] if shape["type"] == "line"] == [nothing]
    assert "On the line marked 0 every sequence is proved" in page


def test_a_perfect_proof_is_drawn_at_zero(tmp_path: Path) -> None:
    rows_of(tmp_path / "results", ("a", "s", 10, 1.0))
    drawn = figure(page_of(tmp_path / "results"), "bound-against-length")
    (y,) = drawn["data"][1]["y"]
    assert y == drawn["layout"]["yaxis"]["tickvals"][-1] and drawn["layout"]["yaxis"]["ticktext"][-1] == "0"
    assert all(math.isfinite(end) for end in drawn["layout"]["yaxis"]["range"])


def test_means_fit_on_the_axis(tmp_path: Path) -> None:
    """The mean over a perfect model and another is smaller than all that is lost about one, but not 0."""
    loaded = rows_of(tmp_path, ("a", "s", 10, 1.0), ("b", "s", 10, 0.9))
    axis = sections.axis_of(loaded, Task(4, 64))
    assert (axis.least, axis.most, axis.zero) == (0.05, 0.1, True)


def test_axes() -> None:
    axis = LostAxis.of([0.5, Fraction(1, 1000)])
    assert not axis.zero and axis.place(Fraction(1, 1000)) == 0.001
    assert [percent(share) for share in (1, 0.2, 0.01, 0.001, 1e-7)] == ["100%", "20%", "1%", "0.1%", "0.00001%"]
    assert [power(x) for x in (500, 1e4, 2e5, 1.5e6)] == [
        *("500", "10<sup>4</sup>", "2·10<sup>5</sup>", "1.5·10<sup>6</sup>")
    ]
    assert ticks(0, 3) == [1, 10, 100, 1000] and len(ticks(5.1, 5.5)) >= 2


def test_an_estimated_accuracy_is_a_band(tmp_path: Path) -> None:
    """No wrong answer in a sample is not drawn as none at all."""
    sampled = {"true_accuracy": 1.0, "true_low": 0.9999, "true_high": 1.0, "true_how": "sampled n=262144, 99%"}
    page = page_of(write_results(tmp_path / "results", [record(bound=0.9, **sampled)]))
    drawn = figure(page, "bound-against-length")
    kinds = [shape["type"] for shape in drawn["layout"]["shapes"]]
    assert sorted(kinds) == ["line", "rect"]
    (said,) = [note["text"] for note in drawn["layout"]["annotations"]]
    assert said == "no wrong answer in a sample; at most 0.010% wrong"
    assert "estimated from a sample, between 0.999900 and 1.000000" in page


def test_proofs_of_almost_nothing_are_mentioned_not_drawn(tmp_path: Path) -> None:
    rows_of(tmp_path / "results", ("a", "good", 10, 0.9), ("a", "weak", 5, 0.0123), ("a", "none", 4, 0.0))
    page = page_of(tmp_path / "results")
    for name in ("bound-against-length", "bound-against-dimension"):
        drawn = figure(page, name)
        assert [len(trace["x"]) for trace in drawn["data"] if trace["name"] == "cubic"] == [1]
    assert "less than 5% is proved: <code>weak</code> (1.23%), <code>none</code> (0.00%)" in page
    many = [("a", f"weak {i}", 5, 0.01) for i in range(9)]
    rows_of(tmp_path / "results", *many)
    page = page_of(tmp_path / "results")
    assert "less than 5% is proved: 9 strategies</summary>" in page and "<code>weak 8</code>" in page
    assert "no proof that proves something has a length" in page


def test_every_class_has_its_own_colour_and_mark() -> None:
    assert [*STYLES] and set(STYLES) == set(COSTS)
    assert len({style.colour for style in STYLES.values()}) == len({style.symbol for style in STYLES.values()}) == 16
    looks = [*STYLES.values(), *OTHERS]
    assert len(set(looks)) == len(looks)
    found = styles(["zeta", "cubic", "alpha"])
    assert found == {"zeta": OTHERS[1], "cubic": STYLES["cubic"], "alpha": OTHERS[0]}


# What an eye without one kind of cone sees of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
VISIONS = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
)


def seen(colour: str, vision: Any) -> Any:
    """A colour in Oklab, where distances are alike to the eye."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.clip(vision @ np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4), 0, 1)
    cones = np.cbrt(
        [[0.41222147, 0.53633254, 0.05144599], [0.2119035, 0.6806995, 0.1073970], [0.0883025, 0.2817188, 0.6299787]]
        @ linear
    )
    lab = [[0.2104543, 0.7936178, -0.0040720], [1.9779985, -2.4285922, 0.4505937], [0.0259040, 0.7827718, -0.8086758]]
    return lab @ cones


@pytest.mark.parametrize("vision", range(4))
def test_colours_are_told_apart_with_any_vision(vision: int) -> None:
    colours = [seen(style.colour, VISIONS[vision]) for style in STYLES.values()]
    nearest = min(np.linalg.norm(a - b) for i, a in enumerate(colours) for b in colours[:i])
    assert nearest > 0.075, "as far apart as Okabe and Ito's own"


def test_a_class_looks_the_same_in_every_figure(tmp_path: Path) -> None:
    """Also where other classes are missing: in one figure of the first model, in another of the second."""
    rows = [
        record(model=name, model_sha256=name, strategy=cost_class, cost_class=cost_class, bound=0.9)
        for name, classes in (("a", ("exact", "sub-cubic", "of another version")), ("b", ("sub-cubic",)))
        for cost_class in classes
    ]
    page = page_of(write_results(tmp_path / "results", rows))
    names = [f"bound-against-{kind}{end}" for kind in ("length", "dimension") for end in ("", "-2")]
    looks: dict[str, set[tuple[str, str]]] = {}
    for name in names:
        for trace in figure(page, name)["data"]:
            if trace["mode"] == "markers":
                looks.setdefault(trace["name"], set()).add((trace["marker"]["color"], trace["marker"]["symbol"]))
    assert looks.keys() == {"exact", "sub-cubic", "of another version"}
    assert all(len(found) == 1 for found in looks.values()) and len({*map(tuple, looks.values())}) == 3


def test_classes_of_one_dimension_stand_side_by_side(tmp_path: Path) -> None:
    rows = [record(cost_class=name, strategy=name, bound=0.9) for name in ("exact", "cubic", "adaptive")]
    page = page_of(write_results(tmp_path / "results", rows))
    at = [x for trace in figure(page, "bound-against-dimension")["data"] for x in trace["x"]]
    assert len(set(at)) == 3 and all(90 < x < 110 for x in at) and "moved apart a little" in page
    assert "unexplained dimension 100" in figure(page, "bound-against-dimension")["data"][0]["customdata"][0]
    page = page_of(write_results(tmp_path / "results", rows[:1]))
    assert figure(page, "bound-against-dimension")["data"][0]["x"] == [100]
    assert "moved apart a little" not in page


def tiny_models(directory: Path, number: int) -> list[dict[str, Any]]:
    """Rows about so many model files, which are made."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(number):
        path = tiny_model(directory / f"{seed}.safetensors", near_correct(np.random.default_rng(seed), v=3, k=2))
        about = {"model": f"m{seed}", "model_path": str(path), "model_sha256": load_model(path).sha256}
        rows += [
            record(k=2, d_vocab=3, bound=0.9, true_accuracy=0.95, strategy=s, cost_class=s, **about) for s in COSTS
        ]
    return rows


def faithfulness(directory: Path) -> Section:
    loaded = load_results(directory)
    return sections.faithfulness(loaded, sections.subjects(loaded, None))


def test_faithfulness_takes_five_models(tmp_path: Path) -> None:
    rows = tiny_models(tmp_path / "results", 5)
    few = faithfulness(write_results(tmp_path / "results", rows[: -len(COSTS)]))
    assert len(few.parts) == 1 and not few.parts[0].figures and "rank 1" not in few.parts[0].body
    assert "cannot be seen in fewer than 5 of one task" in few.parts[0].body
    assert "max-of-2, 3 tokens: 4" in few.parts[0].body
    said, part = faithfulness(write_results(tmp_path / "results", rows)).parts
    assert "rank 1" in said.body and "marks rise to the right" in part.figures[0].caption
    drawn = json.loads(part.figures[0].plot.to_json())
    marks = [trace for trace in drawn["data"] if trace["mode"] == "markers"]
    assert all(len(trace["x"]) == 5 for trace in marks) and len(marks) == len(COSTS) + 1, "and the true accuracies"
    xs = np.array([trace["x"] for trace in marks[:-1]])
    assert len(np.unique(xs)) == xs.size, "classes that prove the same are moved apart"
    guides = [trace for trace in drawn["data"] if trace["mode"] == "lines"]
    assert {trace["meta"]["model"] for trace in guides} == {row["model_sha256"] for row in rows}


def test_no_loss_looks_like_nothing() -> None:
    """0 is white, the scale gets steadily darker, and a small loss differs from none."""
    assert heat_maps.LOSSES[0] == (0, "#ffffff")
    light = [seen(colour, VISIONS[0])[0] for _, colour in heat_maps.LOSSES]
    assert light == sorted(light, reverse=True) and light[-1] < 0.3
    row = [Share(100_000, lost) for lost in (0, 1, 1000, 100_000)] + [Share(0, 0)]
    plot = heat_maps.loss_map({"cubic": ("s", row)}, "n", "toy")
    (shades,) = plot.data[0].z
    assert shades[0] == 0 and 0.1 < shades[1] < shades[2] < shades[3] == 1 and shades[4] is None
    assert [*plot.data[0].colorbar.ticktext] == ["nothing", "0.001%", "0.01%", "0.1%", "1%", "10%", "100%"]
    assert "1 of 100,000 not proved (0.001%)" in plot.data[0].customdata[0][1]


def test_tables_scroll_by_themselves(report: Path) -> None:
    """Each table is alone in an element that scrolls, which the keyboard reaches."""
    page = report.read_text()
    assert page.count("<table>") == page.count('<div class="wide" tabindex="0"><table>') > 5
    style = (ROOT / "certgen/report/style.css").read_text()
    assert re.search(r"\.wide \{[^}]*overflow-x: auto", style)


def test_failures_are_listed(tmp_path: Path) -> None:
    lost = {"correct": None, "total": None, "bound": None, "certificate": None, "length_ops": None}
    bad = record(strategy="svd", error="not-dominant\x1b[31m at <step>") | lost
    page = page_of(write_results(tmp_path / "results", [record(), bad]))
    assert '<a href="#failures">1 proof could not be made.</a>' in page
    words = "".join(Elements(page).words)
    assert "svd" in words and r"not-dominant\x1b[31m at <step>" in words
    page = page_of(write_results(tmp_path / "results", [bad, bad | {"strategy": "other"}]))
    assert "2 proofs could not be made." in page and "other" in page and "Of all v" in page
    assert "#failures" not in page_of(write_results(tmp_path / "results", [record()]))


def test_table_one(tmp_path: Path) -> None:
    """Two models of one task: 0.8 and 0.6 for sub-cubic, of which 0.8 is the better of two strategies."""
    rows = [
        record(model_sha256=sha, cost_class=cost_class, strategy=strategy, bound=x * truth, true_accuracy=truth)
        for sha, cost_class, strategy, x, truth in (
            *(("a", "sub-cubic", "x", 0.7, 0.99), ("a", "sub-cubic", "y", 0.8, 0.99)),
            *(("b", "sub-cubic", "x", 0.6, 0.97), ("b", "new class", "z", 0.5, 0.97)),
        )
    ]
    rows.append(record(model_sha256="c", k=3, d_vocab=8, cost_class="exact", bound=0.5, true_accuracy=0.5))
    lines = {line.name: line for line in table_one(load_results(write_results(tmp_path, rows)))}
    assert [*lines] == [*PUBLISHED, "exact", "new class"]
    loaded = load_results(tmp_path)
    ours = dataclasses.replace(loaded, rows=[row for row in loaded.rows if row.task.k == 3])
    assert [line.name for line in table_one(ours)] == ["true accuracy", "exact"], "no line without a number"
    here = Task(4, 64)
    mean = lines["sub-cubic"].ours[here]
    assert float(mean.mean) == pytest.approx(0.7)
    assert mean.deviation == pytest.approx(0.02**0.5) and mean.models == 2
    truth = lines["true accuracy"].ours[here]
    assert float(truth.mean) == pytest.approx(0.98) and truth.deviation == pytest.approx(0.01 * 2**0.5)
    assert (lines["new class"].ours[here].deviation, lines["new class"].ours[here].models) == (None, 1)
    assert [*lines["exact"].ours] == [Task(3, 8)]
    assert lines["cubic"].ours == {}
    assert lines["sub-cubic"].published[here] == ("0.700", "0.036")
    assert lines["exact"].published == {}
    assert all([*line] == [*TASKS] for line in PUBLISHED.values())
    table = Elements(page_of(tmp_path)).words
    assert "0.7000 ±\u00a00.1415" in table and "0.5000 (1\u00a0of\u00a02)" in table


def test_of_equal_bounds_the_shortest_proof_is_best(tmp_path: Path) -> None:
    lengths = (None, 50, 20, 30)
    rows = [record(strategy=f"s{i}", length_ops=length) for i, length in enumerate(lengths)]
    best = best_of_class(load_results(write_results(tmp_path, rows)).rows)
    assert [row.strategy for row in best.values()] == ["s2"]


@pytest.mark.parametrize("strategy", PROVED)
def test_losses_add_up(results: Path, strategy: str) -> None:
    loaded = load_results(results)
    for row in loaded.rows:
        if row.strategy == strategy:
            certificate = find_certificate(loaded, row)
            assert certificate is not None
            found = losses(certificate)
            lost = row.total - row.correct
            assert sum(share.sequences for share in found.by_maximum) == row.total
            assert sum(share.lost for share in found.by_maximum) == lost
            assert sum(share.sequences for share in found.by_n) + found.unsplit.sequences == row.total
            assert sum(share.lost for share in found.by_n) + found.unsplit.lost == lost
            assert all(0 <= share.lost <= share.sequences for share in (*found.by_maximum, *found.by_n, found.unsplit))
            if strategy == "cubic" or strategy.startswith("sub-cubic"):
                assert found.unsplit.sequences == 0, "each n is counted by itself"


def test_losses_of_brute_force_are_the_wrong_answers(results: Path) -> None:
    """Of one model, by maximum, against its own float64 answers (no near ties here: the counts agree)."""
    loaded = load_results(results)
    row = next(row for row in loaded.rows if row.strategy == "brute-force")
    model = load_model(row.model_path)
    wrong = [0] * 5
    for x in np.ndindex(5, 5, 5):
        residual = model.W_E[list(x)] + model.W_pos
        scores = (residual @ model.W_K) @ (residual[-1] @ model.W_Q + model.b_Q) / np.sqrt(model.d_head)
        attention = np.exp(scores - scores.max())
        attended = attention / attention.sum() @ (residual @ model.W_V)
        wrong[max(x)] += ((residual[-1] + attended @ model.W_O) @ model.W_U).argmax() != max(x)
    certificate = find_certificate(loaded, row)
    assert certificate is not None
    assert [share.lost for share in losses(certificate).by_maximum] == wrong
    assert sum(wrong) > 0


def test_losses_of_max_of_k_are_the_same_by_any_rule(certificates: Path) -> None:
    """By maximum: another rule counts what is correct by label, which is the maximum."""
    found = [
        losses(Certificate.load(certificates / f"accept/tiny--{name}.cert.json")).by_maximum
        for name in ("brute-force", "evaluate_inputs", "evaluate_inputs-of-a-problem-file")
    ]
    assert found[0] == found[1] == found[2]
    assert sum(share.lost for share in found[0]) == 25


def test_sequences_no_region_covers_are_lost(results: Path) -> None:
    loaded = load_results(results)
    row = next(row for row in loaded.rows if "exact-EQKE" in row.strategy)
    statement = find_certificate(loaded, row).model_dump(by_alias=True)  # type: ignore[union-attr]
    counts = statement["predicate"]["steps"][-2]["conclusion"]["counts"]
    dropped = counts.pop(len(counts) // 2)
    found = losses(Certificate.model_validate(statement))
    assert sum(share.lost for share in found.by_maximum) == row.total - row.correct + dropped[3]
    assert sum(share.lost for share in found.by_n) == row.total - row.correct + dropped[3]


def test_the_cells_of_a_maximum_partition_its_sequences() -> None:
    from certgen.certificate.losses import Region

    for k in (1, 2, 4):
        for m in range(4):
            everything = Region(m, (1 << m + 1) - 1, (1 << k) - 1, 0)
            assert sum(sizes_by_n(everything, k)) == with_maximum(m, k)


def test_singular_ratio(results: Path) -> None:
    model = load_model(results / "tiny-0.safetensors")
    values = np.linalg.svd(EQKE(model))[1]
    assert singular_ratio(model) == pytest.approx(values[0] / values[1])


# Errors


def test_bad_results_are_user_errors(tmp_path: Path) -> None:
    def message(directory: Path) -> str:
        with pytest.raises(UserError) as caught:
            load_results(directory)
        return str(caught.value)

    assert "there is no" in message(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"no parquet")
    assert "does not read as a parquet file" in message(tmp_path)
    bad = {name: value for name, value in record().items() if name not in ("k", "total")}
    assert "has no column k, total" in message(write_results(tmp_path, [bad]))
    assert "correct is 'many'" in message(write_results(tmp_path, [record(correct="many")]))
    assert "margin is" in message(write_results(tmp_path, [record(margin="1/0")]))
    assert "4 correct of 3 sequences" in message(write_results(tmp_path, [record(correct="4", total="3")]))
    empty = pyarrow.Table.from_pylist([record()]).slice(0, 0)
    pyarrow.parquet.write_table(empty, tmp_path / "results.parquet")
    assert "has no row" in message(tmp_path)
    assert "is not a version 1 certificate" in message_of_bad_certificate(tmp_path)


def message_of_bad_certificate(directory: Path) -> str:
    (directory / "broken.cert.json").write_text(json.dumps({"steps": 1}))
    loaded = load_results(write_results(directory, [record(certificate="broken.cert.json")]))
    with pytest.raises(UserError) as caught:
        find_certificate(loaded, loaded.rows[0])
    return str(caught.value)


def test_a_report_is_about_one_margin(tmp_path: Path) -> None:
    rows = [record(margin="1/2"), record(margin="1/8", strategy="other"), record(margin="2")]
    loaded = load_results(write_results(tmp_path / "results", rows))
    assert (loaded.margin, loaded.other_margins, len(loaded.rows)) == ("1/8", ["1/2", "2"], 1)
    page = page_of(tmp_path / "results")
    assert "by more than 1/8 logits" in page and "margin 1/2, 2" in page and "published values have margin 0" in page


def test_a_report_is_about_real_numbers_or_float32_programs(tmp_path: Path) -> None:
    rows = [record(semantics="float32-any-order", strategy="other"), record(semantics=None)]
    loaded = load_results(write_results(tmp_path / "both", rows))
    assert (loaded.semantics, loaded.other_semantics) == ("exact-real", ["float32-any-order"])
    assert [row.strategy for row in loaded.rows] == [rows[1]["strategy"]]
    page = page_of(tmp_path / "both")
    assert "in exact arithmetic, and a tie" in " ".join(page.split()) and "proofs about float32-any-order, too" in page
    write_results(tmp_path / "one", rows[:1])
    page = " ".join(page_of(tmp_path / "one").split())
    assert "every program that computes this function in float32" in page and "exact arithmetic, and a tie" not in page
    with pytest.raises(UserError, match=r"row 0 .* no semantics 'bfloat16'"):
        load_results(write_results(tmp_path / "none", [record(semantics="bfloat16")]))


def test_without_the_extra(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certgen.report.find_spec", lambda name: None)
    with pytest.raises(UserError, match="a report needs pyarrow, plotly, kaleido"):
        load_results(results)


def test_without_a_browser_the_page_is_written(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = certgen("report", results, "-o", page, BROWSER_PATH="/none", PATH="")
    assert done.returncode == 0, done.stderr
    assert "no PNG and SVG files" in done.stdout and "install Chromium or Chrome" in done.stdout
    elements = Elements(page.read_text())
    assert elements.ids() >= {*ANCHORS, *FIGURES}
    assert not [link for link in elements.links() if link.endswith((".png", ".svg"))]
    assert not list(tmp_path.glob("report-figures/*"))


def test_the_study_shows_the_pictures_that_it_has() -> None:
    folder = ROOT / "docs" / "study"
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", (folder / "index.md").read_text()))
    assert shown == {path.name for path in folder.iterdir() if path.suffix in (".svg", ".png")}


# In a browser


@needs_browser
def test_each_figure_is_an_image_and_linked(report: Path) -> None:
    from urllib.parse import unquote

    links = [unquote(link) for link in Elements(report.read_text()).links() if link.endswith((".png", ".svg"))]
    assert sorted(links) == sorted(f"my report-figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg"))
    for link in links:
        data = (report.parent / link).read_bytes()
        assert data.startswith(b"\x89PNG" if link.endswith("png") else b"<svg"), link


def in_browser(page: Path, profile: Path, width: int = 1280) -> tuple[Elements, list[str]]:
    """The page's elements once its scripts have run, with no network at all, and what it wrote to the console."""
    assert BROWSER is not None
    switches = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", f"--window-size={width},800"),
        *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=20000", "--dump-dom"),
    )
    done = subprocess.run([BROWSER, *switches, page.as_uri()], capture_output=True, text=True, timeout=120)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Elements(done.stdout), console


@needs_browser
@pytest.mark.parametrize("which", ["report", "hostile"])
def test_the_page_in_a_browser(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    page, console = in_browser(request.getfixturevalue(which), tmp_path)
    assert console == []
    for figure in FIGURES:
        drawn = [at for tag, at, around in page.found if figure in around and tag == "svg"]
        assert any("main-svg" in (at.get("class") or "").split() for at in drawn), figure
    anchors = [link for link in page.links() if link.startswith("#")]
    assert {f"#{name}" for name in ANCHORS} <= {*anchors}
    assert {link.removeprefix("#") for link in anchors} <= page.ids()
    assert not [tag for tag, attributes, _ in page.found if tag == "img" or "onerror" in attributes]
    map_ = [at for tag, at, around in page.found if "EQKE" in around and "main-svg" in (at.get("class") or "")]
    assert all(float(at["width"] or 0) < 640 for at in map_), "two heat maps fit beside each other"


# Chooses the last model, and says what is then shown and what does not fit.
CHOOSE = """<script>setTimeout(() => {
  const list = document.getElementById("model");
  list.selectedIndex = list.length - 1;
  list.dispatchEvent(new Event("change"));
  setTimeout(() => {
    const shown = [...document.querySelectorAll(".plot")].filter((plot) => plot.offsetParent !== null);
    const inside = (plot, part) => {
      const [outer, inner] = [plot.getBoundingClientRect(), part.getBoundingClientRect()];
      return inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.bottom <= outer.bottom + 1;
    };
    const parts = (plot) => [...plot.querySelectorAll(".legend, .xtitle, .ytitle, .gtitle")];
    const cut = shown.flatMap((plot) => parts(plot).filter((part) => !inside(plot, part)).map(() => plot.id));
    const room = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll(".wide")].filter((one) => one.offsetParent !== null);
    document.title = JSON.stringify({
      shown: shown.map((plot) => plot.id),
      cut,
      overflow: document.documentElement.scrollWidth > room,
      scrolling: wide.some((one) => one.scrollWidth > one.clientWidth),
      tables: wide.every((one) => one.getBoundingClientRect().right <= room),
    });
  }, 4000);
}, 4000);</script>"""


@needs_browser
@pytest.mark.parametrize("width", [500, 1400])
def test_another_model_is_shown_and_everything_fits(report: Path, tmp_path: Path, width: int) -> None:
    page = tmp_path / "page.html"
    page.write_text(report.read_text().replace("</body>", f"{CHOOSE}</body>"))
    elements, console = in_browser(page, tmp_path / "profile", width)
    assert console == []
    words = [word for word in elements.words if word.startswith('{"shown"')]
    found = json.loads(words[0])
    assert {*found["shown"]} == {*MEANS, *(f"{kind}-2" for kind in OF_MODEL)}
    assert found["cut"] == [] and not found["overflow"] and found["tables"]
    assert found["scrolling"] == (width == 500), "a table that is too wide scrolls by itself"


@needs_browser
def test_the_browser_test_sees_errors(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!DOCTYPE html><script>undefinedFunction()</script>")
    _, console = in_browser(page, tmp_path / "profile")
    assert any("undefinedFunction" in line for line in console)
