"""The documentation: the site builds without a warning, holds together, needs no network; what it shows works."""

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import certgen.length
from certgen import prove
from certgen.length import ProofLength
from tests.conftest import ROOT

DOCS = ROOT / "docs"
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


def build(site: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site), *options]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Html(HTMLParser):
    """The ids of a page, what it links to, and what a browser loads to show it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if LOADED.get(tag) in given:
            self.assets.append(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {path: Html(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_internal_link_leads_somewhere(site: Path, pages: dict[Path, Html]) -> None:
    broken = []
    for path, html in pages.items():
        for link in html.links + html.assets:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(parts.fragment)
            known = fragment in pages[target].ids if fragment and target in pages else target.is_file()
            if not (known and target.is_relative_to(site.resolve())):
                broken.append((path.name, link))
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Html]) -> None:
    outside = re.compile(r"^(https?:)?//")
    assert not [asset for html in pages.values() for asset in html.assets if outside.match(asset)]
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"""(url\(\s*["']?|@import\s+["'])(https?:)?//""", text), sheet


def test_the_format_is_a_page_without_a_second_copy(site: Path) -> None:
    title = "Accuracy certificates, format version 1"
    assert title in (site / "format.html").read_text(encoding="utf-8")
    assert not [page for page in DOCS.rglob("*.md") if f"# {title}" in page.read_text(encoding="utf-8")]


def test_what_the_programs_are_documented_to_do_is_in_the_site(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    names = ("load_model", "prove", "Certificate", "Certificate.save", "Certificate.load", "Model")
    for name in (*[f"certgen.{n}" for n in names], "checker.check", "checker.Verdict", "checker.Refusal"):
        assert f'id="{name}"' in text, name


@pytest.mark.parametrize(("link", "code"), [("../checker/kernel.py", 0), ("../checker/no-such-file.py", 1)])
def test_links_to_files_of_the_repository(tmp_path: Path, link: str, code: int) -> None:
    """A file that exists is shown; one that does not fails the build."""
    config = tmp_path / "mkdocs.yml"
    hook = DOCS / "assets" / "site_hooks.py"
    config.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nnav: [index.md, rules.md, signing.md]\nhooks: ['{hook}']\n"
        "plugins: []\nextra_css: []\nvalidation: {links: {anchors: ignore}}\n",
        encoding="utf-8",
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A\n\n[code]({link})\n", encoding="utf-8")
    for page in ("rules.md", "signing.md"):  # to which the format links
        (tmp_path / "docs" / page).write_text("# B\n", encoding="utf-8")
    done = build(tmp_path / "site", "--config-file", str(config))
    assert done.returncode == code, done.stderr
    if code == 0:
        assert "step_before" in (tmp_path / "site/repository/checker/kernel.py.html").read_text(encoding="utf-8")
    else:
        assert link in done.stderr


@pytest.mark.parametrize("measured", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_example_runs(
    measured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Measuring lengths and searching for a long proof, which take most of its time, are left to the slow tests."""
    if not measured:
        quick = {"adaptive": "cubic"}
        monkeypatch.setattr(certgen, "prove", lambda model, name, **_: prove(model, quick.get(name, name)))
        monkeypatch.setattr(certgen.length, "proof_length", lambda model, certificate: ProofLength(1000, 200, 30))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(DOCS / "example.py"))
    printed = capsys.readouterr().out
    assert len(re.findall(r"proved by [\d,]+ operations", printed)) == 4
    assert ("proved by 1,230 operations" in printed) is not measured
    assert "REJECTED count-too-large" in printed
    assert list(tmp_path.rglob("*.cert.json.gz")) and list(tmp_path.rglob("*.html"))


def test_links_of_the_readme_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(links) > 15
    assert not [link for link in links if "://" not in link and not (ROOT / link).exists()]


def test_formulas_are_typeset_without_a_script(site: Path) -> None:
    rules = (site / "rules.html").read_text(encoding="utf-8")
    assert rules.count("<math ") > 400 and 'display="block"' in rules
    shown = re.sub(r"<(script|style|annotation|pre|code)\b.*?</\1>", "", rules, flags=re.DOTALL)
    assert not re.search(r"\$|\\[a-z(\[]|arithmatex", shown)


def test_formulas_of_the_rules_are_balanced() -> None:
    """A dollar sign that was forgotten turns text into formulas and formulas into text."""
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    for paragraph in text.split("\n\n"):
        formulas = re.sub(r"^\$\$\n.*?\n\$\$$", "", paragraph, flags=re.DOTALL | re.MULTILINE)
        assert formulas.count("$") % 2 == 0, paragraph
        for formula in re.findall(r"\$([^$]+)\$", formulas):
            assert "\n" not in formula and formula == formula.strip(), formula
            assert formula.count("{") - formula.count(r"\{") == formula.count("}") - formula.count(r"\}"), formula


def test_the_search_works_from_a_folder(site: Path, pages: dict[Path, Html]) -> None:
    """Browsers let no page of a folder start a worker, or read its index as JSON."""
    assert (site / "search" / "search_index.js").is_file()
    for path, html in pages.items():
        shims = [asset for asset in html.assets if "iframe-worker" in asset]
        assert [(path.parent / shim).is_file() for shim in shims] == [True], path


def test_pictures_and_tables_are_those_of_the_measurements(tmp_path: Path) -> None:
    drawing: Any = loaded(DOCS / "assets" / "make_pictures.py")
    places = {"README": ROOT / "README.md", "FRONTIER": DOCS / "frontier.md", "SCALING": DOCS / "scaling.md"}
    places["KINDS"] = DOCS / "kinds.md"
    for path in (*places.values(), *(DOCS / "assets").glob("*.csv")):
        shutil.copy(path, tmp_path)
    for name, path in {"HERE": tmp_path, **{name: tmp_path / path.name for name, path in places.items()}}.items():
        setattr(drawing, name, path)
    drawing.draw()
    text = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    for picture in tmp_path.glob("*.svg"):
        assert picture.read_bytes() == (DOCS / "assets" / picture.name).read_bytes(), picture.name
        assert f"(assets/{picture.name})" in text
    for page in places.values():
        assert (tmp_path / page.name).read_bytes() == page.read_bytes(), page.name


def test_the_record_has_rows_that_can_be_measured_again() -> None:
    measured = loaded(ROOT / "bench" / "measured.py")
    record = measured.load()
    assert [line.row for line in record] == list(map(str, measured.ROWS))
    assert all((line.length_ops is not None) == (line.check_s < measured.MOST_SECONDS) for line in record)


def test_no_kind_of_models_is_proved_better_than_it_is() -> None:
    """Brute force has the truth; each strategy has a row for each model of a kind, or none."""
    rows = loaded(DOCS / "assets" / "make_pictures.py").of_kinds()
    bench = loaded(ROOT / "bench" / "kinds.py")
    assert list(rows) == [kind.name for kind in bench.KINDS]
    for kind, members in rows.items():
        found = {(row["seed"], row["strategy"]): int(row["correct"]) for row in members}
        wanted = [name for name in bench.STRATEGIES if (kind, name) not in bench.NOT_TRIED]
        assert sorted(found) == sorted((str(seed), name) for seed in bench.SEEDS for name in wanted)
        for (seed, _), correct in found.items():
            assert correct <= found[seed, "brute-force"]


def test_the_record_agrees_with_the_verdicts_that_are_shown() -> None:
    """Verdicts in README.md are printed by the tests of its examples."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    record = {line.row: line for line in loaded(ROOT / "bench" / "measured.py").load()}
    for strategy, relation in (("separable-by-max", ">="), ("exact", "=")):
        line = record[f"max-of-4-seed-123 {strategy}"]
        assert f"VERIFIED accuracy {relation} {line.correct}/{line.total} " in readme


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [line.row for line in loaded(ROOT / "bench" / "measured.py").load() if line.check_s < 2]
)
def test_measuring_again_gives_the_record(name: str) -> None:
    """Claims and lengths of proofs that are quickly checked; `bench/measured.py --again` makes all of them."""
    measured = loaded(ROOT / "bench" / "measured.py")
    (row,) = (row for row in measured.ROWS if str(row) == name)
    (line,) = (line for line in measured.load() if line.row == name)
    assert measured.measure(row)[:7] == line[:7]


def test_the_trust_page_counts_the_lines_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    assert loaded(ROOT / "bench" / "trusted.py").table() in (ROOT / "docs" / "trust.md").read_text()
