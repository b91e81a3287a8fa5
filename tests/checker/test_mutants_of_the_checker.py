"""The mutator finds what it should, its runner tells the dead from the living, and the list of survivors is true."""

from functools import partial

import pytest

from tests.mutants.checker import ROOT, Survivor, fate, justified, killed_by_corpus, sources
from tests.mutants.source import mutations

SOURCE = '''
LIMIT = 3

def f(x, rows, *, lower=0):
    """Not this one."""
    if not x < LIMIT and rows:
        raise Rejected("code", f"more than {LIMIT + 1}")
    total = 0
    for i in range(1, x):
        total += min(rows[i:]) << 2
        rows.append(g(i, strict=True))
    return [y for y in rows if y]
'''


def test_every_kind_of_mutation_is_found() -> None:
    found = {(one.line, one.what) for one in mutations(SOURCE)}
    for expected in [
        (2, "4 for 3"),
        (2, "2 for 3"),
        (6, "x <= LIMIT"),
        (6, "x >= LIMIT"),
        (6, "x < LIMIT for not x < LIMIT"),
        (6, "rows for not x < LIMIT and rows"),
        (6, "not x < LIMIT or rows"),
        (6, "not not x < LIMIT and rows"),
        (7, "without raise Rejected"),
        (9, "range(1, x + 1)"),
        (9, "range(1, x - 1)"),
        (9, "2 for 1"),
        (10, "without total += min(rows[i:]) << 2"),
        (10, "total -= min(rows[i:]) << 2"),
        (10, "min(rows[i:]) >> 2"),
        (10, "max for min"),
        (10, "rows[:]"),
        (11, "without rows.append(g(i, strict=True))"),
        (11, "without strict=True"),
        (12, "without if y"),
    ]:
        assert expected in found
    assert not [what for line, what in found if line in (4, 5)]
    assert not [what for line, what in found if line == 7 and what != "without raise Rejected"]
    assert all(one.source != SOURCE for one in mutations(SOURCE))


def test_lower_and_upper_are_exchanged() -> None:
    assert [one.what for one in mutations("x.of_lower = upper_end")] == [
        "of_upper for of_lower",
        "lower_end for upper_end",
    ]


@pytest.mark.parametrize(
    ("what", "item"),
    [
        ("without raise Rejected", "reject/region-covered-twice--third-premise.cert.json"),
        ("correct - count.correct", "accept/tiny--exact.cert.json"),
        ("1 for 0", ""),
    ],
)
def test_mutants_are_killed_or_live(what: str, item: str) -> None:
    """The last: a count of no query is refused as one of a region that does not exist, which no file shows."""
    path = ROOT / "checker" / "rules" / "total.py"
    files = ["reject/region-covered-twice--third-premise.cert.json", "accept/tiny--exact.cert.json"]
    found = [one for one in mutations(path.read_text()) if one.what == what]
    assert found
    quick = partial(killed_by_corpus, files, dict.fromkeys(files, 0.0))
    assert item in {fate(path, one, [quick], 24) for one in found}


def test_survivors_are_mutants_that_exist() -> None:
    listed = justified()
    for name in {one.file for one in listed} - {"*"}:
        text = (ROOT / name).read_text()
        lines = text.splitlines()
        known = {Survivor(name, lines[one.line - 1].strip(), one.what) for one in mutations(text)}
        assert {one for one in listed if one.file == name and one.line != "*"} <= known
    assert all(len(why) > 10 for why in listed.values())


def test_soundness_comes_first() -> None:
    names = [path.relative_to(ROOT / "checker").as_posix() for path in sources()]
    assert names[:2] == ["kernel.py", "facts.py"]
    assert names[2].startswith("rules/")
    assert len(names) > 60
