"""The section of a report about proofs by regions: what cells stand for, and which figures there are."""

from pathlib import Path
from typing import Any

import pytest

from certgen.report import region_maps
from certgen.report.heat_maps import UNKNOWN
from certgen.report.page import Section, page
from certgen.report.results import load_results
from certgen.report.sections import choice, lost, regions, sections, subjects
from tests.certgen.report.test_report import record, write_results
from tests.support.edits import Statement, edited, put, to_bytes
from tests.support.region_statements import UNIT, Entries, each_wrong, largest_of_two, statement, up_to

KINDS = {(0, 0): [1, 2], (1, 0): [-2, -1], (1, 1): [-1, 1], (2, 0): [0, 0], (2, 1): [-1, 0], (2, 2): [-1, 1]}


def behind(label: int, query: int, number: int) -> int:
    """As much as all of these together say, but answer 2 with query 1 may lose to output 0."""
    return UNIT if (label, query, number) == (2, 1, 0) else -UNIT * (label + 2 * query + 4 * number + 1)


def results(directory: Path, *made: Statement) -> Path:
    """A row and a certificate for each."""
    (directory / "certificates").mkdir(parents=True)
    records = []
    for number, one in enumerate(made):
        name = f"certificates/{number}.cert.json"
        (directory / name).write_bytes(to_bytes(one))
        claim, model = one["predicate"]["claim"], one["predicate"]["model"]
        sizes = {"k": model["n_ctx"], "d_vocab": model["d_vocab"], "task": "max of 2 in 2 positions"}
        counts = {"correct": str(claim["correct"]), "total": str(claim["total"])}
        digest = one["subject"][0]["digest"]["sha256"]
        names = {"model": f"made-up-{number}", "model_sha256": digest, "certificate": name, "strategy": "regions"}
        records.append(record(**sizes, **counts, **names, bound=claim["correct"] / claim["total"]))
    return write_results(directory, records)


def section(directory: Path) -> Section | None:
    """The one about regions."""
    found = regions(subjects(load_results(directory), None))
    return found[0] if found else None


def figures(made: Section) -> dict[str, Any]:
    return {figure.name: figure.plot for part in made.parts for figure in part.figures}


def layers(figure: Any) -> list[dict[tuple[str, str], Any]]:
    """The cells of each trace that are not blank: by answer and column, their number and what hovering says."""
    return [
        {
            (y, x): (z, told)
            for y, row, texts in zip(trace.y, trace.z, trace.customdata, strict=True)
            for x, z, told in zip(trace.x, row, texts, strict=True)
            if z is not None
        }
        for trace in figure.data
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Section:
    shown = largest_of_two(behind, shares=(1, -2), ranges=lambda label, query: KINDS[label, query])
    found = section(results(tmp_path_factory.mktemp("results") / "of a sweep", shown))
    assert found is not None
    return found


def test_a_map_by_query_has_the_nearest_wrong_output(made: Section) -> None:
    unproved, cells = layers(figures(made)["gaps-by-query"])
    assert unproved == {}
    assert {place: z for place, (z, _) in cells.items()} == {
        ("0", "0"): -1,
        ("1", "0"): -2,
        ("1", "1"): -4,
        ("2", "0"): -3,
        ("2", "1"): 1,
        ("2", "2"): -7,
    }
    assert cells["1", "0"][1] == "wrong output 0, query 0: behind by at least 2 logits"
    assert cells["2", "1"][1] == "wrong output 0, query 1: ahead by at most 1 logits"


def test_a_map_by_wrong_output_has_the_worst_query(made: Section) -> None:
    _, cells = layers(figures(made)["gaps-by-wrong-output"])
    assert {place: z for place, (z, _) in cells.items()} == {
        ("0", "1"): -1,
        ("0", "2"): -5,
        ("1", "0"): -2,
        ("1", "2"): -6,
        ("2", "0"): 1,
        ("2", "1"): -7,
    }
    assert cells["2", "1"][1] == "wrong output 1, query 0: behind by at least 7 logits"


def test_heads_have_maps_on_one_scale(made: Section) -> None:
    first, second = (figures(made)[f"gaps-head-{head}"] for head in (0, 1))
    assert layers(first)[1]["1", "1"] == (-1, "to wrong output 0, query 1: at most -1 logits")
    assert layers(second)[1]["1", "1"] == (2, "to wrong output 0, query 1: at most 2 logits")
    ends = {(plot.data[1].zmin, plot.data[1].zmax) for plot in (first, second)}
    assert ends == {(-3.5, 3.5)}


def test_neurons_are_drawn_region_by_region(made: Section) -> None:
    plot = figures(made)["neurons"]
    assert list(plot.data[0].z[0]) == [1, -1, 0, 1, -1, 0]
    assert plot.data[0].customdata[0][1] == "answer 1, query 0: from -0.007813 to -0.003906"
    assert list(plot.layout.xaxis.tickvals) == [0, 1, 3] and list(plot.layout.xaxis.ticktext) == ["0", "1", "2"]
    assert "1 neuron in 6 regions: on for every input in 2 cases, off in 2, bent in 2" in made.parts[1].body


def test_too_many_neurons_are_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_maps, "MOST_CELLS", 5)
    found = section(results(tmp_path / "r", largest_of_two(behind, ranges=lambda label, query: [0, 1])))
    assert found is not None and "neurons" not in figures(found)


def test_the_proof_is_told_in_sentences(made: Section) -> None:
    body = made.parts[1].body
    assert "made-up-0" in body and "6 regions, each of all inputs with one answer and one query." in body
    assert "In 1 region some wrong output may get ahead." in body


def test_what_is_not_proved_is_grey(tmp_path: Path) -> None:
    """Answer 1 has no region, and in those of answer 2 output 0 is not watched."""
    groups = [up_to(0, 3, 1, [0b110]), up_to(2, 3, 0b111, [0b010])]
    pairs, correct = [(0, 0), (2, 0), (2, 1), (2, 2)], {(0, 0): 1, (2, 0): 1, (2, 1): 0, (2, 2): 2}
    inputs: Entries = [{"tokens": "0-2"}] * 2
    shown = statement(groups, pairs, behind, inputs=inputs, outputs=3, correct=correct, total=9)
    found = section(results(tmp_path / "r", shown))
    assert found is not None
    unproved, cells = layers(figures(found)["gaps-by-query"])
    assert {place: told for place, (_, told) in unproved.items()} == {
        ("1", "0"): "no region; 1 of 1 not proved",
        ("1", "1"): "no region; 2 of 2 not proved",
    }
    assert cells["2", "2"][1].endswith("<br>1 of 3 not proved") and "not proved" not in cells["0", "0"][1]
    assert figures(found)["gaps-by-query"].data[0].colorscale[0][1] == UNKNOWN
    unproved, cells = layers(figures(found)["gaps-by-wrong-output"])
    assert set(unproved) == {("1", "2")}
    assert set(cells) == {("0", "1"), ("0", "2"), ("2", "1")}


def test_one_query_is_not_drawn_as_a_map(tmp_path: Path) -> None:
    """Heads then stand by wrong output."""
    groups = [up_to(label, 3, 0b001, each_wrong(label, 3)) for label in range(3)]
    pairs, correct = [(0, 0), (1, 0), (2, 0)], {(0, 0): 1, (1, 0): 1, (2, 0): 1}
    inputs: Entries = [{"tokens": "0-2"}, {"tokens": [0]}]
    shown = statement(groups, pairs, behind, inputs=inputs, outputs=3, correct=correct, total=3)
    found = section(results(tmp_path / "r", shown))
    assert found is not None and list(figures(found)) == ["gaps-by-wrong-output", "gaps-head-0"]
    assert set(layers(figures(found)["gaps-head-0"])[1]) == set(layers(figures(found)["gaps-by-wrong-output"])[1])


def test_losses_by_maximum_are_for_max_of_k(tmp_path: Path) -> None:
    inputs: Entries = [{"tokens": "0-2", "weights": [2, 2, 2]}, {"tokens": "0-2"}]
    directory = results(tmp_path / "r", largest_of_two(behind, inputs=inputs, total=18))
    (subject,) = subjects(load_results(directory), None)
    assert "what its proof by regions loses is shown there" in lost(subject).body


def test_a_model_without_such_a_proof_says_so_and_no_model_no_section(tmp_path: Path) -> None:
    without = largest_of_two(behind, sha256="1" * 64)
    steps = [
        {"rule": "evaluate_inputs", "premises": [], "args": {"bits": [64]}, "conclusion": {"counts": []}},
        {"rule": "total", "premises": [0], "args": {}, "conclusion": {"correct": 0, "wrong": 0}},
    ]
    without = edited(without, put("predicate", "steps", value=steps), put("predicate", "claim", "correct", value=0))
    assert section(results(tmp_path / "none", without)) is None
    found = section(results(tmp_path / "some", largest_of_two(behind), without))
    assert found is not None
    assert "There is no figure about made-up-1, " in found.parts[2].body
    assert "no certificate about regions was found." in found.parts[2].body


def test_the_page_holds_the_figures(tmp_path: Path) -> None:
    loaded = load_results(results(tmp_path / "r", largest_of_two(behind)))
    about = subjects(loaded, None)
    html = page("Proofs", "", sections(loaded, about), choice(about), None)
    assert 'id="gaps-by-query"' in html and '<h2 id="regions">Region by region</h2>' in html
    assert "what its proof by regions loses is shown there" not in html, "max-of-k has its own figure"


def test_numbers_that_no_float_holds() -> None:
    assert [region_maps.logits(sign << 9000, 8) for sign in (1, -1)] == [1e300, -1e300]
    assert region_maps.logits(1, 4096) == 0 and region_maps.logits(-384, 8) == -1.5
