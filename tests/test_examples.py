"""What README.md and docs/ show is what happens: every command and program is run, and its output compared."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from certgen.cli import app
from checker.cli import main as check_cert_main
from tests import examples
from tests.conftest import ROOT
from tests.examples import LANGUAGES, agree, blocks, differences, masked, pages, renewed, updated

INSTALLS = "installs from PyPI"
YOURS = "names stand for files of yours"
NEVER = {  # every block that no test runs, by its page and its first line, and why
    ("README.md", "python3 -m venv .venv && . .venv/bin/activate"): INSTALLS,
    ("README.md", "certgen import checkpoint.pt -o model.safetensors --compare samples.npz"): YOURS,
    ("docs/audit.md", "python3 -S -I check-cert.pyz MODEL CERT"): YOURS,
    ("docs/audit.md", "( ulimit -v 8000000; timeout 600 python3 -S -I check-cert.pyz MODEL CERT )"): YOURS,
    ("docs/certify.md", "pip install -c constraints.txt --editable '.[train]'"): INSTALLS,
    ("docs/guide.md", "pip install -c constraints.txt --editable '.[train]'"): INSTALLS,
    ("docs/index.md", "python3 -m venv .venv && . .venv/bin/activate"): INSTALLS,
    ("docs/frontier.md", "certgen train --k 20 --d-vocab 64 --seeds 10,11 --steps 1000 -o weak"): "takes minutes",
    ("docs/kinds.md", "make study-kinds"): "takes half an hour",
    (
        "docs/scaling.md",
        "certgen train --k 4 --d-vocab 1000 --seed 7 --steps 4000 -o v1000.safetensors",
    ): "takes very long",
    ("docs/report.md", "pip install -c constraints.txt --editable '.[report]'"): INSTALLS,
    ("docs/study/index.md", "make study          # hours on two cores; continues where it was stopped"): "takes hours",
    ("docs/sweep.md", "pip install -c constraints.txt --editable '.[sweep]'"): INSTALLS,
    (
        "docs/sweep.md",
        "certgen sweep models --strategies cubic --strategies 'sub-cubic/*/upper-envelope/*' -o results",
    ): "takes an hour",
    ("docs/sweep.md", "dask scheduler                                  # on one machine"): "needs several machines",
    (
        "docs/trust.md",
        "( ulimit -v 1000000; timeout 600 python3 -S -I check-cert.pyz --budget 100000000 MODEL CERT )",
    ): YOURS,
    ("docs/formal.md", "make formal"): "needs Coq",
    ("docs/trust.md", "make check-cert.pyz"): YOURS,
}
PAGES = [str(path.relative_to(ROOT)) for path in pages()]
FAST = [name for name in PAGES if any(b.steps and not b.slow for b in blocks((ROOT / name).read_text()))]
SLOW = [name for name in PAGES if any(b.steps and b.slow for b in blocks((ROOT / name).read_text()))]


def compare(name: str, folder: Path, slow: bool) -> None:
    if name == "docs/public-models.md" and not examples.PUBLIC.is_dir():
        pytest.skip("needs checkpoints that others published")
    page = (ROOT / name).read_text(encoding="utf-8")
    for step, printed in differences(page, folder, slow):
        assert step.shown == printed, f"{name}, line {step.start + 1}: `make docs-outputs` writes what is printed now"


@pytest.mark.parametrize("name", FAST)
def test_what_a_page_shows_is_what_is_printed(name: str, tmp_path: Path) -> None:
    compare(name, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_what_a_page_shows_of_long_runs_is_what_is_printed(name: str, tmp_path: Path) -> None:
    compare(name, tmp_path, slow=True)


def test_blocks_that_never_run_are_listed_with_their_reasons() -> None:
    found = {}
    for name in PAGES:
        for block in blocks((ROOT / name).read_text(encoding="utf-8")):
            if block.never:
                found[name, block.text[0].removeprefix("$ ")] = block.never
    assert found == NEVER


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_shown_as_code_that_is_not_run(name: str) -> None:
    """Blocks are commands, programs, or what a program prints; there is no indented code."""
    page = (ROOT / name).read_text(encoding="utf-8")
    printed = {step.start - 1 for block in blocks(page) for step in block.steps if block.language == "python"}
    for block in blocks(page):
        assert block.language in LANGUAGES, (block.line + 1, block.language)
        assert block.language != "text" or block.never or block.line in printed, block.line + 1
        for step in block.steps:
            assert step.shown != ["?"], step
            assert [line.strip() for line in step.shown].count(examples.LEFT_OUT) <= 1, step
    outside = re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"(?<=\n\n) {4}\S.*", outside)


def inline_commands() -> list[tuple[str, str]]:
    """Commands that are named in running text."""
    found = []
    for name in PAGES:
        page = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        found += [(name, span) for span in re.findall(r"`((?:certgen|check-cert) [^`]+)`", page)]
    return found


@pytest.mark.parametrize(("name", "span"), sorted(set(inline_commands())))
def test_commands_in_the_text_have_the_options_that_are_named(name: str, span: str) -> None:
    words = shlex.split(span)
    options = {word for word in words if re.match(r"--?[a-z]", word)}
    if words[0] == "check-cert":
        known = set(re.findall(r"--[a-z-]+", Path(check_cert_main.__code__.co_filename).read_text(encoding="utf-8")))
    else:
        group = typer.main.get_command(app)
        command = group.commands[words[1]]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert options <= known | {"--help"}, options - known


def test_masks_hide_times_digests_and_compressed_sizes_only() -> None:
    digest = "0" * 64
    assert masked(f"a  0.31 s   {digest}") == masked(f"a 12 s {'1' * 64}")
    assert masked("a.cert.json.gz: 12,345 bytes") == masked("a.cert.json.gz: 1 bytes")
    assert masked("a.cert.json: 12,345 bytes") != masked("a.cert.json: 1 bytes")
    assert masked("accuracy >= 32766/32768") != masked("accuracy >= 32767/32768")
    shipped = next(iter(examples.shipped_digests()))
    assert masked(shipped) != masked(digest)


def test_a_line_of_dots_stands_for_any_lines() -> None:
    assert agree(["a", "...", "c"], ["a", "b", "b", "c"]) and agree(["...", "c"], ["c"])
    assert not agree(["a", "...", "c"], ["a", "b"]) and not agree(["a", "...", "a"], ["a"])
    assert not agree(["a"], ["a", "b"])
    assert renewed(["a", "...", "c"], ["1", "2", "3", "4"]) == ["1", "...", "4"]
    assert renewed(["a", "...", "c"], ["1", "2"]) == ["1", "2"]


PAGE = """\
```console
$ echo 1; \\
  echo 2
1
x
$ touch made

$ ls made
made
```
<!-- run: exit 3 -->
```console
$ echo no; exit 3
yes
```
<!-- run: slow -->
```console
$ echo slow
fast
```
<!-- run: never, it is dangerous -->
```console
$ exit 1
```
```python
print(6 * 7)
```

```text
41
```
"""


def test_a_page_is_run_and_updated(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    new = updated(PAGE, tmp_path / "a", slow=False)
    assert new == PAGE.replace("\nx\n", "\n2\n").replace("yes", "no").replace("41", "42")
    assert [printed for _, printed in differences(new, tmp_path / "b", slow=True)] == [["slow"]]
    assert [block.never for block in blocks(PAGE)] == ["", "", "", "it is dangerous", "", ""]


def test_a_command_is_run_once_for_all_pages_unless_a_file_that_it_names_differs(tmp_path: Path) -> None:
    page = "```console\n$ echo {0} > made\n$ cat made > copy; date +%N >> copy; cat copy\n?\n```"
    seen = []
    for number, word in enumerate("aab"):
        (folder := tmp_path / str(number)).mkdir()
        ((_, printed),) = differences(page.format(word), folder, slow=False)
        assert (folder / "copy").read_text(encoding="utf-8").split() == printed
        seen.append(printed)
    assert seen[0] == seen[1] and seen[2][0] == "b" and seen[2][1] != seen[0][1]


@pytest.mark.parametrize(("page", "word"), [("```console\n$ exit 1\n```", "ended with 1"), ("```python\nx\n```", "x")])
def test_a_command_that_fails_is_not_written_into_the_page(page: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(examples.Failed, match=word):
        updated(page, tmp_path, slow=False)
