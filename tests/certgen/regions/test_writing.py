"""The steps of a proof: in the order of the format, as few groups as can be, and counts that follow from the rest."""

from fractions import Fraction

import numpy as np

from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.counts.cells import mask
from certgen.progress import quiet
from certgen.regions.automata import Automaton
from certgen.regions.paths import Group, regions_of
from certgen.regions.search import left_of
from certgen.regions.writing import add_steps
from tests.certgen.regions.test_search import GIVEN, searched


def test_a_set_is_a_bit_mask() -> None:
    assert mask([]) == 0
    assert mask([0, 3, 70]) == 1 + 8 + (1 << 70)


def test_what_is_found_is_written_region_by_region() -> None:
    for given in GIVEN:
        search, watches, _ = searched(2, given)
        watches = search.refine(watches, 60, search.task.total, quiet)
        question = search.gaps.layer.question
        proof = Proof(question.model, Fraction(1, 3), question.task)
        certificate: Certificate = proof.certificate("adaptive", [add_steps(proof, search, watches)])
        regions, gaps, counts, total = (step.model_dump() for step in certificate.predicate.steps)
        assert [step["rule"] for step in (regions, gaps, counts)] == ["regions", "region_gaps", "region_counts"]
        groups = [
            Group(
                group["label"],
                [q for q in range(4) if group["queries"] >> q & 1],
                Automaton(*(np.array(group[name]) for name in ("symbols", "next", "parts"))),
                [],
            )
            for group in regions["args"]["groups"]
        ]
        assert (
            len(list(regions_of(question.task, groups))) == len(regions["args"]["hints"]) == len(gaps["args"]["hints"])
        )
        for row, hints in zip(gaps["conclusion"]["gaps"], counts["args"]["hints"], strict=True):
            assert [gap < 0 for gap in row] == [not hint for hint in hints]
        left = left_of(watches)
        found = {(c[0], c[1]): c[3] for c in counts["conclusion"]["counts"]}
        assert found == {(label, 1 << query): max(weight, 0) for (label, query), weight in left.items()}
        assert total["conclusion"]["correct"] == sum(found.values()) > 0
        wholes = [(g["label"], tuple(g["rivals"])) for g in regions["args"]["groups"] if max(g["parts"]) == 0]
        assert len(set(wholes)) == len(wholes)  # queries of which the same outputs are watched share a group
