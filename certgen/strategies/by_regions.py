"""regions: whole regions settled at once, for one attention layer with any heads, an MLP, and any task.

What settles a region is the worst that each head can do in it; where that does not suffice, inputs are counted, or the
region is cut into smaller ones.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

from certgen.certificate.proof import Proof
from certgen.certificate.statement import Certificate
from certgen.counts.evaluation import Question
from certgen.decimals import at_least
from certgen.errors import UserError
from certgen.progress import Tell, Track, silent
from certgen.regions.gaps import Gaps
from certgen.regions.search import Search, Watch, left_of
from certgen.regions.tables import OneLayer
from certgen.regions.writing import add_steps
from certgen.strategies.adaptive import required

PRECISIONS = (48, 128, 512)  # bits of attention weights and of every number in logits: as few as suffice
DOUBT = 2.0**-12  # of attention weights, relative, that rounded scores may leave
STEPS = 256  # of the losses of what is counted
MOST_SPLITS = 2_000  # of regions in which some wrong output may reach the label


def by_settling(question: Question, track: Track) -> Certificate:
    """Only whole regions that are settled; what is left out is not proved."""

    def settled(search: Search) -> list[Watch]:
        found = survey(search, track)
        return [watch._replace(leaves=[leaf for leaf in watch.leaves if leaf.found.settled]) for watch in found]

    return written(question, settled, "regions")


def by_counting(question: Question, track: Track) -> Certificate:
    """Whole regions, and where a wrong output is not behind in one, the inputs in which it may reach the label."""
    return written(question, lambda search: survey(search, track), "separable")


def by_splitting(question: Question, track: Track, target: Fraction | None = None, tell: Tell = silent) -> Certificate:
    """As separable, with the regions in which most is lost split further, until the bound reaches the target.

    `tell` hears how the bound grew with the number of splits.
    """
    total = question.task.total
    needed = total if target is None else -(-total * target // 1)
    growth: dict[int, int] = {}

    def split(search: Search) -> list[Watch]:
        watches = survey(search, track)
        most = sum(len(watch.leaves) for watch in watches) + MOST_SPLITS
        refined = search.refine(watches, most, needed, track)
        growth.clear()  # of fewer bits that did not suffice
        growth.update(search.growth)
        return refined

    hint = "lower the target, or try the strategy brute-force, which is exact"
    certificate = required(written(question, split, "adaptive"), needed, target is not None, hint)
    if len(growth) > 1:
        tell(grown(growth, total))
    return certificate


def grown(growth: dict[int, int], total: int) -> str:
    """How the bound grew, in one line."""
    bounds = [f"{at_least(Fraction(correct, total), 5)} with {splits:,}" for splits, correct in growth.items()]
    return f"Splitting regions: accuracy >= {', '.join(bounds)} splits"


def written(question: Question, find: Callable[[Search], list[Watch]], strategy: str) -> Certificate:
    """The certificate of what is found, with as few bits as suffice. UserError if none do."""
    for bits in PRECISIONS:
        layer = OneLayer(question, bits)
        if layer.doubt > DOUBT:
            continue
        search = Search(Gaps(layer), STEPS)
        watches = worth(find(search))
        if search.gaps.is_fine:
            proof = Proof(question.model, question.margin, question.task)
            return proof.certificate(strategy, [add_steps(proof, search, watches)])
    reason = (
        f"numbers of {bits} bits do not suffice for this model: its attention is too sharp, or its weights too large"
    )
    raise UserError(reason, "the strategy brute-force is for every model and problem, and takes as many as are needed")


def survey(search: Search, track: Track) -> list[Watch]:
    """For each query and label first all wrong outputs that stay behind, then each of the others by itself."""
    found: list[Watch] = []
    for label, query in track(list(product(search.labels, search.queries)), "regions"):
        watch = search.whole(label, query)
        if watch is not None:
            found += search.watched(watch)
    return found


def worth(watches: list[Watch]) -> list[Watch]:
    """Without the queries and labels of which nothing is proved."""
    left = left_of(watches)
    return [watch for watch in watches if left[watch.pair] > 0]
