"""The mutator finds what it should, its runner tells the dead from the living, and the list of survivors is true."""

from functools import partial
from pathlib import Path

import pytest

from checker.problem.labels import Task, label_of
from tests.mutants.checker import (
    ROOT,
    SCORE,
    Survivor,
    excuse,
    fate,
    justified,
    killed_by_corpus,
    killed_by_tests,
    known,
    named,
    sources,
    with_tests,
)
from tests.mutants.score import Fates, Score, table
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


def test_words_of_the_command_line_are_left_alone() -> None:
    found = mutations("number = add('--jobs', type=positive, metavar='N', help='processes')")
    assert [one.what for one in found] == ["without type=positive"]


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


def test_a_lambda_of_a_table_is_mutated_in_its_place() -> None:
    """The label max, which is a lambda inside a lambda: the smallest token instead."""
    path = ROOT / "checker" / "problem" / "labels.py"
    text = path.read_text()
    line = 1 + [text.startswith('    "max": ') for text in text.splitlines()].index(True)
    (mutant,) = [one for one in mutations(text) if (one.line, one.what) == (line, "min for max")]
    assert mutant.start == line

    def largest() -> str:
        label = label_of(Task("max", {}, None), (0, 1), 3)
        return str(label.step(label.step(label.start, 0, 2), 1, 1))

    assert (fate(path, None, [largest], 24), fate(path, mutant, [largest], 24)) == ("2", "0")


def test_tests_that_are_collected_once_kill_in_each_process() -> None:
    """Of two mutants of one line the one that a test knows; and nothing is killed without one."""
    path = ROOT / "checker" / "errors.py"
    found = {one.what: one for one in mutations(path.read_text())}
    killed = {}

    def work(items: list[pytest.Item]) -> None:
        assert len(items) == 1
        for what in ("65 for 64", "0 <= mask <= 1 << 64", "not item"):
            killed[what] = fate(path, found.get(what), [partial(killed_by_tests, items)], 60)

    test = "tests/checker/test_errors.py::test_masks_are_shown_as_sets"
    with_tests([str(ROOT / test)], work)
    assert killed == {"65 for 64": test, "0 <= mask <= 1 << 64": test, "not item": ""}
    with pytest.raises(SystemExit):
        with_tests([str(ROOT / test.replace("masks", "moons"))], work)


def test_survivors_are_mutants_that_exist() -> None:
    listed = justified()
    for name in {one.file for one in listed} - {"*"}:
        known = {one for _, one in named(name, (ROOT / name).read_text())}
        assert {one for one in listed if one.file == name and one.line != "*"} <= known
    assert all(len(why) > 10 for why in listed.values())


def test_a_reason_is_about_one_of_several_like_it() -> None:
    source = "def of(x):\n    return [0] * x + [0]\n"
    first, second = [one for _, one in named("f.py", source) if one.what == "1 for 0"]
    assert (first.number, second.number) == (1, 2)
    assert excuse(first, {first: "fits"}) == "fits" and excuse(second, {first: "fits"}) == ""
    anywhere = Survivor("f.py", "*", "1 for 0")
    for wider in (anywhere, anywhere._replace(file="*"), first._replace(file="*")):
        assert excuse(second, {wider: "fits"}) == "fits"


def test_soundness_comes_first() -> None:
    names = [path.relative_to(ROOT / "checker").as_posix() for path in sources()]
    assert names[:2] == ["kernel.py", "facts.py"]
    assert names[2].startswith("rules/")
    assert len(names) > 60


def test_a_score_holds_for_one_text_and_for_its_mutants(tmp_path: Path) -> None:
    found = Fates({"killed": 5, "justified": 1, "undecided": 2})
    Score(tmp_path / "score.tsv").add("checker/a.py", "text", found)
    score = Score(tmp_path / "score.tsv")
    assert score.of("checker/a.py", "text", 8) == found
    assert score.of("checker/a.py", "texts", 8) == {"not run": 8}
    assert score.of("checker/a.py", "text", 9) == {"not run": 9}
    assert score.of("checker/b.py", "text", 8) == {"not run": 8}


def test_a_score_is_replaced_by_one_that_decides_as_much(tmp_path: Path) -> None:
    path = tmp_path / "score.tsv"
    first, less = Fates({"killed": 5, "open": 1, "undecided": 2}), Fates({"killed": 5, "undecided": 3})
    reason = Fates({"killed": 5, "justified": 1, "undecided": 2})
    for text, found, kept in [
        ("text", first, first),
        ("text", less, first),
        ("text", reason, reason),
        ("other", Fates({"not run": 8}), Fates({"not run": 8})),
        ("nothing to change", Fates(), Fates({"not run": 8})),
    ]:
        Score(path).add("checker/a.py", text, found)
        assert Score(path).of("checker/a.py", text if found else "other", 8) == kept


def test_the_table_sums_by_folder() -> None:
    """99.99 % is not 100 %, and what was not run or not decided does not count."""
    found = {
        "checker/kernel.py": Fates({"killed": 9_999, "open": 1}),
        "checker/rules/a.py": Fates({"same": 1, "undecided": 2}),
        "checker/rules/b.py": Fates({"justified": 5, "not run": 3}),
    }
    *_, kernel, rules, whole, _, score = table(found)
    assert kernel == "| `kernel.py` | 10,000 | 9,999 | – | – | 1 | – | – |"
    assert rules == "| `rules/` | 11 | – | 1 | 5 | – | 2 | 3 |"
    assert whole == "| `all` | 10,011 | 9,999 | 1 | 5 | 1 | 2 | 3 |"
    assert score.startswith("10,008 of 10,011 were run, and 10,005 of these are decided: 99.99 % of them")


def test_the_score_that_is_kept_is_of_files_that_there_are() -> None:
    kept = Score(SCORE)
    assert kept.rows and kept.rows.keys() <= known().keys()
