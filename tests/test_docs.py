"""The documentation: the site builds without a warning, holds together, needs no network; what it shows works."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
import typer

from certgen.cli import app
from checker.cli import main as check_cert_main
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = ("index.md", "certify.md", "audit.md", "strategies.md")  # whose commands are parsed below
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


def build(site: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site), *options]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


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
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nnav: [index.md, rules.md]\nhooks: ['{hook}']\nplugins: []\n"
        "extra_css: []\nvalidation: {links: {anchors: ignore}}\n",
        encoding="utf-8",
    )
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# A\n\n[code]({link})\n", encoding="utf-8")
    (tmp_path / "docs" / "rules.md").write_text("# B\n", encoding="utf-8")
    done = build(tmp_path / "site", "--config-file", str(config))
    assert done.returncode == code, done.stderr
    if code == 0:
        assert "fact_before" in (tmp_path / "site/repository/checker/kernel.py.html").read_text(encoding="utf-8")
    else:
        assert link in done.stderr


def commands() -> list[list[str]]:
    """The commands of the pages, as words; paths and names that stand for others included."""
    found = []
    for page in PAGES:
        for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
            if line.startswith(("    certgen ", "    check-cert ", "    python3.11 -S -I check-cert.pyz ")):
                words = shlex.split(line, comments=True)
                found.append(["check-cert", *words[4:]] if words[0] == "python3.11" else words)
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_commands_have_the_options_that_are_shown(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # so that nothing shown is found, and nothing is done
    if words[0] == "check-cert":
        assert check_cert_main(words[1:]) == 3  # and not 2, a wrong command line
        return
    group = typer.main.get_command(app)
    command = group.get_command(None, words[1])  # type: ignore[attr-defined]
    assert command is not None, words[1]
    command.make_context(words[1], words[2:])


def test_the_example_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(DOCS / "example.py")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"proved by [\d,]+ operations", done.stdout)) == 4
    assert "REJECTED count-too-large" in done.stdout
    assert list(tmp_path.rglob("*.cert.json.gz"))


def test_pictures_and_table_are_those_of_the_measured_points(tmp_path: Path) -> None:
    drawing = loaded(DOCS / "assets" / "make_pictures.py")
    for name in ("assets/curve.csv", "assets/scaling.csv", "strategies.md", "scaling.md"):
        shutil.copy(DOCS / name, tmp_path)
    drawing.HERE, drawing.STRATEGIES, drawing.SCALING = tmp_path, tmp_path / "strategies.md", tmp_path / "scaling.md"
    drawing.draw()
    text = "".join(page.read_text(encoding="utf-8") for page in (drawing.STRATEGIES, drawing.SCALING))
    for picture in tmp_path.glob("*.svg"):
        assert picture.read_bytes() == (DOCS / "assets" / picture.name).read_bytes(), picture.name
        assert f"(assets/{picture.name})" in text
    for page in (drawing.STRATEGIES, drawing.SCALING):
        assert page.read_bytes() == (DOCS / page.name).read_bytes()


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
