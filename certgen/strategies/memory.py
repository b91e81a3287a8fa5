"""About how much memory a search takes at most, from sizes, before it begins; and how long the default one takes.

What fills memory are tables in numpy, one for all maxima or one at a time, and the lists that a certificate is made of.
Numbers of bytes below are those of trained models; SPARE is for others.
"""

from __future__ import annotations

import re
from decimal import Decimal

from certgen.counts.branching import MOST_SEQUENCES
from certgen.counts.evaluation import PIECE, Question
from certgen.counts.two_sided import FINEST
from certgen.counts.work import lasting
from certgen.errors import UserError
from certgen.models.forward import MOST_FLOATS

USUAL = 2_000_000_000  # bytes that the default search takes without being allowed more
PROGRAM = 150_000_000  # Python, its libraries, this program, and what small tables take
PROCESS = 60_000_000  # of that, what a further process does not share
SHARED = ("adaptive", "two-sided")  # strategies for max-of-k by one head that several processes share
SPARE = 1.5
ENTRY = 612  # of exact tables, stated scores, and tables of one maximum, per pair of tokens
MASK = 0.5  # of a set of tokens written down, per token
SLOW = 15 * 60  # seconds that a search may take without saying so
CUBES_A_SECOND = 280_000.0  # of the default search: v^3 k
UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "KI": 1 << 10,
    "MI": 1 << 20,
    "GI": 1 << 30,
    "TI": 1 << 40,
}


def read_memory(memory: int | str) -> int:
    """Bytes, from a number of them or text such as 2GB, 1.5 GB, 512MiB or 2G; UserError if it is none."""
    found = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?I?)B?\s*", str(memory).upper())
    if not found or found[2] not in UNITS or Decimal(found[1]) == 0:
        raise UserError(f"the memory {memory!r} is no size", "write it as 2GB, 512MB or 1.5GiB")
    return int(Decimal(found[1]) * UNITS[found[2]])


def needed_memory(question: Question, strategy: str, refined: bool = False) -> int:
    """Bytes of the whole process, about, and seldom more. `refined` says that a length or a target is asked for."""
    if not question.is_classic:
        return PROGRAM + int(SPARE * (of_pieces(question) if strategy == "brute-force" else of_regions(question)))
    v, k = question.model.d_vocab, question.model.n_ctx
    return PROGRAM + int(SPARE * of_one_head(v, k, strategy, refined))


def of_one_head(v: int, k: int, strategy: str, refined: bool) -> float:
    """Bytes of tables of max-of-k; each addend is one kind of table, or of what is written down."""
    kind, _, variant = strategy.partition("/")
    pairs, cells, shared = v * v / 2, k * v * v / 2, ENTRY * v * v
    of_pair = 40 * min(int(v ** (k - 1)), MOST_SEQUENCES)  # all sequences of a pair; more are refused as too many
    if kind == "separable-by-max":
        blocks = 32 if variant == "gauged" else 8
        return shared + blocks * v * (1_500 + MASK * v)
    if kind == "separable-relaxed":
        return shared + pairs * (4_500 + MASK * v)
    if kind == "separable-exact":
        return shared + pairs * (4_500 + MASK * v) + 2 * k * v**3
    if kind == "exact":
        return shared + pairs * (4_500 + MASK * v) + 2 * k * v**3 + of_pair
    if kind == "brute-force":
        return shared + 300 * pairs + of_pair
    if kind == "cubic":
        return shared + cells * (200 + MASK * v) + 64 * k * v * v
    if kind == "sub-cubic":
        kept = min(6 * k * v**3, 6 << 23)
        return shared + cells * (1_000 + MASK * v) + 100 * k * v * v + kept
    looked_at = min(pairs, max(rung.most for rung in FINEST.ladder)) * (8 * k * v + 4_000)
    units = 100 * k * v**3 if refined else 0
    return shared + of_maxima(v, k) + looked_at + of_a_pair(v, k) + pairs * (3_500 + MASK * v) + units


def of_maxima(v: int, k: int) -> float:
    """What wrong tokens gain, and what all gain in one class."""
    return 14 * v**3 + 3 * k * v**3


def of_a_pair(v: int, k: int) -> float:
    """The tables of one pair, and transforms."""
    return 64 * k * v * v + 3_000_000 * k


def worthwhile_jobs(question: Question, strategy: str, limit: int | None, jobs: int, refined: bool) -> int:
    """How many of `jobs` processes share a search: one if it is quick, or not to be shared, and never more than the
    limit has room for, as each has maxima and a pair of its own."""
    v, k = question.model.d_vocab, question.model.n_ctx
    if not question.is_classic or strategy not in SHARED or v**3 * k < CUBES_A_SECOND:
        return 1
    each = PROCESS + int(SPARE * (of_maxima(v, k) + of_a_pair(v, k)))
    room = jobs * each if limit is None else limit - needed_memory(question, strategy, refined)
    return min(jobs, 1 + max(room, 0) // each)


def of_regions(question: Question) -> float:
    """Bytes of the tables of one layer, and of what is found for each label, query and wrong output."""
    model, task = question.model, question.task
    heads, neurons, outputs = model.architecture.heads, model.sizes.get("d_mlp", 0), model.d_vocab_out
    entries = heads * task.k * model.d_vocab
    regions = outputs * len(task.space.choices[task.query_position]) + 2_000  # and those that splitting makes
    return 8.0 * entries * (7 * (outputs + neurons) + 1_024) + 120.0 * regions * outputs * (neurons + heads + 4)


def of_pieces(question: Question) -> float:
    """Bytes of the activations of the inputs that are evaluated at once."""
    model, heads = question.model, question.model.architecture.heads
    widest = max(model.sizes.get("d_mlp", 0), model.d_model, model.d_vocab_out, heads * question.task.k)
    return 64.0 * min(PIECE * question.task.k * widest, MOST_FLOATS) + 200 * PIECE


def require_memory(question: Question, strategy: str, limit: int, refined: bool = False, hint: str = "") -> None:
    """UserError if the search is expected to take more than `limit` bytes; `hint` is what else to do."""
    needed = needed_memory(question, strategy, refined)
    if needed > limit:
        reason = f"the strategy {strategy} takes about {size(needed)} of memory here, more than {size(limit)}"
        raise UserError(reason, f"allow it with --memory {option(needed)}{hint}")


def size(number: int) -> str:
    """Such as 1.5 GB, rounded up."""
    unit, name = (10**9, "GB") if number >= 10**9 else (10**6, "MB")
    tenths = -(-10 * number // unit)
    return f"{tenths / 10:g} {name}"


def option(number: int) -> str:
    """The same as one word, such as 1.5GB."""
    return size(number).replace(" ", "")


def said_duration(question: Question, strategy: str) -> str | None:
    """A line about a search that takes long; None if it does not, or nobody knows."""
    v, k = question.model.d_vocab, question.model.n_ctx
    work = v**3 * k
    if not question.is_classic or strategy not in ("adaptive", "two-sided") or work < SLOW * CUBES_A_SECOND:
        return None
    return f"The strategy {strategy} takes about {lasting(work, CUBES_A_SECOND)} here"
