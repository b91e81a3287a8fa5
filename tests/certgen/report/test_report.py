"""`certgen report`: the numbers on the page, that data stays data, and the page in a real browser."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from certgen.certificate.losses import losses, sizes_by_n, with_maximum
from certgen.certificate.statement import Certificate
from certgen.errors import UserError
from certgen.models.model_file import load_model
from certgen.proving import prove
from certgen.report import figures, images, writing
from certgen.report.markup import label, powers, scientific, wrapped
from certgen.report.published import PUBLISHED, TASKS
from certgen.report.results import Task, best_of_class, find_certificate, load_results
from certgen.report.table_one import table_one
from certgen.strategies import STRATEGIES
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
HOSTILE = """</script><script>alert('"1"')</script><img src=x onerror=alert(2)>&amp;{x}"""
ANCHORS = ("claim", "table-one", "length", "dimension", "faithfulness", "error-table", "mechanism", "losses", "classes")
FIGURES = (
    *("bound-against-length", "bound-against-dimension", "bound-against-faithfulness"),
    *("EQKE", "EVOU", "EUPU", "position-scores", "losses-by-maximum", "losses-by-n"),
)


def record(**given: Any) -> dict[str, Any]:
    """A row of a sweep with made-up numbers."""
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
    assert "max row diff on subproduct" in words and "~97" in words
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


def page_of(directory: Path, **options: Any) -> str:
    """The page of these results, without images."""
    output = directory.parent / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "write_images", no_images)
        writing.write_report(directory, output, **options)
    return output.read_text()


def no_images(*_: Any) -> None:
    raise images.NoImages("none in this test")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    bare = record(length_ops=None, unexplained_dimension=None, true_accuracy=None, normalised=None)
    page = page_of(write_results(tmp_path / "results", [bare]))
    words = " ".join(" ".join(Elements(page).words).split())
    assert "no row has length_ops" in words
    assert "no row has unexplained_dimension" in words
    assert words.count("no file of the models was found") == 3
    assert "no certificate about toy was found" in words


def test_another_model_can_be_chosen(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    page = page_of(tmp_path / "results", model=results / "tiny-1.safetensors")
    assert "What is proved about tiny-1" in page
    other = tiny_model(tmp_path / "other.safetensors", near_correct(np.random.default_rng(7), v=4, k=2))
    page = page_of(tmp_path / "results", model=other)
    assert "no certificate about other was found" in page
    assert "EVOU" in Elements(page).ids()


def test_a_model_file_that_changed_is_not_taken_for_the_model(results: Path, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path / "results")
    first = load_results(results).rows[0]
    records = pyarrow.parquet.read_table(results / "results.parquet").to_pylist()
    for one in records:
        one["model_path"] = "tiny-0.safetensors"  # relative to the results; for the second model, another file
    loaded = load_results(write_results(tmp_path / "results", records))
    found = {row.model: writing.choose_model(one_row(loaded, row), None) for row in loaded.rows}
    assert found["tiny-0"] is not None and found["tiny-0"].sha256 == first.model_sha256
    assert found["tiny-1"] is None


def one_row(loaded: Any, row: Any) -> Any:
    return type(loaded)(loaded.directory, loaded.margin, [row], [], [])


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
    assert scientific(6.04e8) == "6.0 × 10<sup>8</sup>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = proved(tmp_path_factory.mktemp("hostile") / "results", hostile=True)
    page_of(directory)
    return directory.parent / "page.html"


def test_hostile_text_is_shown_as_text(hostile: Path) -> None:
    page = Elements(hostile.read_text())
    assert not [tag for tag, attributes, _ in page.found if tag == "img" or "onerror" in attributes]
    harmless = sum(tag == "script" for tag, _, _ in page.found)
    assert harmless <= 2 * len(FIGURES) + 1  # plotly.js, and plotly's own per figure
    words = "".join(page.words)
    assert words.count("<img src=x onerror=alert(2)>") >= 10
    assert "onerror" in hostile.read_text()


# Numbers


def test_frontier() -> None:
    points = [(10, 0.5), (5, 0.2), (7, 0.2), (10, 0.4), (20, 0.5), (30, 0.9), (1, 0.0), (5, 0.3), (40, 0.8)]
    assert [points[i] for i in figures.frontier(points)] == [(1, 0.0), (5, 0.3), (10, 0.5), (30, 0.9)]
    assert figures.frontier([]) == []
    assert figures.frontier([(1, 0.5), (1, 0.5)]) == [0]


def test_the_frontier_is_drawn_through_means(tmp_path: Path) -> None:
    rows = [
        record(model_sha256=sha, strategy=strategy, length_ops=length, bound=bound)
        for sha, strategy, length, bound in (
            *(("a", "long", 100, 0.9), ("b", "long", 300, 0.8)),
            *(("a", "short", 10, 0.5), ("b", "short", 30, 0.4)),
            *(("a", "beaten", 40, 0.47), ("b", "beaten", 20, 0.41)),
        )
    ]
    plot = figures.bound_against_length(load_results(write_results(tmp_path, rows)))
    (line,) = [trace for trace in plot.data if trace.name == "frontier"]
    assert [*line.x] == [20, 200]
    assert [*line.y] == pytest.approx([0.45, 0.85])
    assert [name for name, _ in line.customdata] == ["short", "long"]
    points = [trace for trace in plot.data if trace.name == "cubic"]
    assert sum(len(trace.x) for trace in points) == 6
    assert points[0].customdata[0] == ["long", "toy", "certgen prove"]
    assert plot.layout.xaxis.type == "log"


def test_too_many_points_are_thinned_by_model(tmp_path: Path) -> None:
    each = figures.MOST_POINTS // 2 - 1
    rows = [record(model_sha256=sha, strategy=f"s{i}") for sha in "abc" for i in range(each)]
    loaded = load_results(write_results(tmp_path / "results", rows))
    kept = figures.drawn(loaded.rows)
    assert len(kept) == 2 * each
    assert {row.model_sha256 for row in kept} == {"a", "b"}
    assert "Only the first models are drawn" in page_of(tmp_path / "results")


def test_table_one(tmp_path: Path) -> None:
    """Two models of one task: 0.8 and 0.6 for sub-cubic, of which 0.8 is the better of two strategies."""
    rows = [
        record(model_sha256=sha, cost_class=cost_class, strategy=strategy, bound=x, normalised=x, true_accuracy=truth)
        for sha, cost_class, strategy, x, truth in (
            *(("a", "sub-cubic", "x", 0.7, 0.99), ("a", "sub-cubic", "y", 0.8, 0.99)),
            *(("b", "sub-cubic", "x", 0.6, 0.97), ("b", "new class", "z", 0.5, 0.97)),
        )
    ]
    rows.append(record(model_sha256="c", k=3, d_vocab=8, cost_class="exact", normalised=1.0, true_accuracy=0.5))
    lines = {line.name: line for line in table_one(load_results(write_results(tmp_path, rows)))}
    assert [*lines] == [*PUBLISHED, "exact", "new class"]
    here = Task(4, 64)
    mean = lines["sub-cubic"].ours[here]
    assert (mean.mean, mean.deviation, mean.models) == (pytest.approx(0.7), pytest.approx(0.02**0.5), 2)
    truth = lines["true accuracy"].ours[here]
    assert (truth.mean, truth.deviation) == (pytest.approx(0.98), pytest.approx(0.01 * 2**0.5))
    assert (lines["new class"].ours[here].deviation, lines["new class"].ours[here].models) == (None, 1)
    assert [*lines["exact"].ours] == [Task(3, 8)]
    assert lines["cubic"].ours == {}
    assert lines["sub-cubic"].published[here] == ("0.700", "0.036")
    assert lines["exact"].published == {}
    assert all([*line] == [*TASKS] for line in PUBLISHED.values())
    table = Elements(page_of(tmp_path)).words
    assert "0.7000 ±\u00a00.1414" in table and "0.5000 (1\u00a0of\u00a02)" in table


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
    values = np.linalg.svd(figures.EQKE(model))[1]
    assert figures.singular_ratio(model) == pytest.approx(values[0] / values[1])


# Errors


def test_bad_results_are_user_errors(tmp_path: Path) -> None:
    def message(directory: Path) -> str:
        with pytest.raises(UserError) as caught:
            load_results(directory)
        return str(caught.value)

    assert "there is no" in message(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"no parquet")
    assert "does not read as a parquet file" in message(tmp_path)
    bad = {name: value for name, value in record().items() if name not in ("k", "bound")}
    assert "has no column k, bound" in message(write_results(tmp_path, [bad]))
    assert "correct is 'many'" in message(write_results(tmp_path, [record(correct="many")]))
    assert "margin is" in message(write_results(tmp_path, [record(margin="1/0")]))
    assert "all 1 rows have errors; the first: too long" in message(write_results(tmp_path, [record(error="too long")]))
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


# In a browser


@needs_browser
def test_each_figure_is_an_image_and_linked(report: Path) -> None:
    from urllib.parse import unquote

    links = [unquote(link) for link in Elements(report.read_text()).links() if link.endswith((".png", ".svg"))]
    assert links == [f"my report-figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg")]
    for link in links:
        data = (report.parent / link).read_bytes()
        assert data.startswith(b"\x89PNG" if link.endswith("png") else b"<svg"), link


def in_browser(page: Path, profile: Path) -> tuple[Elements, list[str]]:
    """The page's elements once its scripts have run, with no network at all, and what it wrote to the console."""
    assert BROWSER is not None
    switches = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", "--window-size=1280,800"),
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


@needs_browser
def test_the_browser_test_sees_errors(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!DOCTYPE html><script>undefinedFunction()</script>")
    _, console = in_browser(page, tmp_path / "profile")
    assert any("undefinedFunction" in line for line in console)
