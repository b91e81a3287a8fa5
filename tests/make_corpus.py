"""Writes tests/models (the tiny ones) and tests/certificates: `python -m tests.make_corpus`, by hand.

`python -m tests.support.corpus` then records what check-cert says about each.

Folders say the outcome: accept, reject (exit code 1), malformed (3), other-model (4), resource-limit (5). A refused
file is named by its error code: CODE--what.cert.json. Every certificate names its model in subject[0].name; what
cannot be read that far is about tiny.safetensors.
"""

import base64
import copy
import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from checker.model.weights import read_weights
from checker.rules import RULES
from tests import float32_corpus, general_corpus, profile_corpus, region_corpus
from tests.support.derivations import Derivation
from tests.support.edits import Edit, Statement, at, change, drop, edited, put, step_of, to_bytes
from tests.support.groups import fitting, rows_of, with_cuts
from tests.support.groups import group as group_of
from tests.support.problems import max_of_k
from tests.support.tiny import AXES, BIASES, near_correct, random_tensors, tiny_model, zero_tensors

TESTS = Path(__file__).parent
MODELS = TESTS / "models"
CERTIFICATES = TESTS / "certificates"
EXIT_CODES = {"accept": 0, "reject": 1, "malformed": 3, "other-model": 4, "resource-limit": 5}


def write_models() -> None:
    """The tiny models. numpy may change its streams one day: then the files stay and this function goes."""
    rng = np.random.default_rng
    mixed = {name: ("BF16" if name in BIASES else "F64" if name == "embed.W_E" else "F16") for name in AXES}
    tiny_model(MODELS / "tiny.safetensors", near_correct(rng(0), 5, 4, biases=True), "F32")
    tiny_model(MODELS / "mixed-dtypes.safetensors", near_correct(rng(1), 3, 3, biases=True), mixed)
    tiny_model(MODELS / "one-token.safetensors", random_tensors(rng(2), 1, 3, 2, 2), "F32")
    tiny_model(MODELS / "one-position.safetensors", near_correct(rng(3), 4, 1, biases=True), "F32")
    tiny_model(MODELS / "all-ties.safetensors", zero_tensors(3, 2, 1, 1), "F32")
    square = zero_tensors(
        *(2, 2, 3, 1),
        W_E=[[-20, 0, 0], [5, 0, 0]],
        W_pos=[[0, 10, 0], [0, -10, 0]],
        W_U=[[1, 0], [0, 0], [1, 0]],
        W_V=[0, 1, 0],
        W_O=[0, 0, 1],
    )
    tiny_model(MODELS / "as-many-positions-as-tokens.safetensors", square, "F32")
    tiny_model(MODELS / "long.safetensors", random_tensors(rng(4), 5, 12, 1, 1), "F16")
    general_corpus.write_models(MODELS)
    region_corpus.write_models(MODELS)
    float32_corpus.write_models(MODELS)


def prove(model: str, strategy: str, margin: str = "0") -> Statement:
    """The generator's certificate, as JSON, its tensor digests in the order of tiny.AXES.

    The one in accept/ if it is there: hints are found in floating-point numbers, in which machines differ, so all but
    plain ones are proved anew only by main().
    """
    from certgen.progress import quiet
    from certgen.proving import ask
    from certgen.strategies import STRATEGIES

    path = CERTIFICATES / "accept" / name_of(model, strategy, margin)
    if strategy not in PLAIN and path.exists():
        return json.loads(path.read_bytes())
    question = ask(MODELS / f"{model}.safetensors", None, Fraction(margin))
    statement = json.loads(STRATEGIES[strategy].prove(question, quiet).to_bytes())
    info = statement["predicate"]["model"]
    info["tensors"] = {name: info["tensors"][name] for name in AXES}
    return statement


def name_of(model: str, strategy: str, margin: str = "0") -> str:
    """The file in accept/; the only other margin is 1/8."""
    return f"{model}--{strategy.replace('/', '--')}{'' if margin == '0' else '-margin'}.cert.json"


PLAIN = ("brute-force", "cubic")
SEPARABLE = ("separable-relaxed", "separable-exact", "separable-by-max", "exact")
# Together they use every rule of the family.
SUB_CUBIC = (
    "sub-cubic/max-diff-exact/mean-query+diff/exact-EQKE",
    "sub-cubic/global-max-diff-exact/upper-envelope/max-diff-exact",
    "sub-cubic/max-diff/drop-average-query-per-output-logit-reasoning/mean+max-diff-subproduct",
    "sub-cubic/mean-query+max-diff/upper-envelope/mean-recursive+max-diff-subproduct-recursive",
    "sub-cubic/svd-query+max-diff/mean-query+diff/svd",
)


def accepted() -> Iterator[tuple[str, bytes]]:
    """accept/MODEL--what.cert.json"""
    for model in ("tiny", "mixed-dtypes", "one-token", "one-position", "all-ties"):
        for strategy in (*PLAIN, *SEPARABLE):
            yield name_of(model, strategy), to_bytes(prove(model, strategy))
    for strategy in (*PLAIN, *SEPARABLE):
        yield name_of("tiny", strategy, "1/8"), to_bytes(prove("tiny", strategy, "1/8"))
    for strategy in (*SUB_CUBIC, "adaptive"):
        yield name_of("tiny", strategy), to_bytes(prove("tiny", strategy))
    yield "tiny--cubic.cert.json.gz", gzip.compress(to_bytes(prove("tiny", "cubic")), mtime=0)

    cubic, brute = prove("tiny", "cubic"), prove("tiny", "brute-force")
    yield "tiny--claim-zero.cert.json", to_bytes(edited(brute, put("predicate", "claim", "correct", value=0)))
    direct, value = (at(cubic, rule, "conclusion") for rule in ("direct_path_upper", "value_path_upper"))
    total = at(cubic, "total")
    weaker = [
        change(*direct, "rows", 4, 0, by=1),
        change(*value, "rows", 4, 4, by=1),
        put(*at(cubic, "cubic_tokens", "conclusion", "masks", 4, 4, 0), value=0),
        put(*at(cubic, "count_cubic", "conclusion", "counts", -1, 3), value=0),
        put(*total, "conclusion", "correct", value=10),
        put("predicate", "claim", "correct", value=9),
    ]
    yield "tiny--weaker-bounds.cert.json", to_bytes(edited(cubic, *weaker))

    def coarser(statement: Statement) -> None:
        for rule in ("direct_path_upper", "value_path_upper"):
            table = step_at(statement, rule)["conclusion"]
            table["exponent"] += 3
            table["rows"] = [[-(-x >> 3) for x in row] for row in table["rows"]]

    yield "tiny--coarser-exponent.cert.json", to_bytes(edited(cubic, coarser))

    def unused(statement: Statement) -> None:
        steps = statement["predicate"]["steps"]
        steps.insert(len(steps) - 1, copy.deepcopy(steps[0]))
        steps[-1]["premises"].reverse()

    yield "tiny--unused-step.cert.json", to_bytes(edited(cubic, unused))
    yield "tiny--three-ways-to-count.cert.json", to_bytes(three_ways_to_count())
    for what, statement in left_out():
        yield f"tiny--{what}-left-out.cert.json", to_bytes(summed(statement))
    general = general_corpus.accepted(), general_corpus.accepted_in_two_ways(cubic), region_corpus.accepted()
    for statements in (
        accepted_separable(),
        *general,
        profile_corpus.accepted(prove),
        float32_corpus.accepted(prove),
    ):
        yield from ((f"{name}.cert.json", to_bytes(statement)) for name, statement in statements)


def accepted_separable() -> Iterator[tuple[str, Statement]]:
    """Groups that no strategy makes, and claims about wrong sequences."""
    apart, together, exact = (prove("tiny", strategy) for strategy in ("separable-exact", "separable-by-max", "exact"))
    scores, group = at(together, "score_exact", "conclusion"), at(together, "separable_counts", "args", "groups", 3)
    above = (*group, "blocks", 0, "parts", 0, "above")
    yield "tiny--one-pool", restated(refitted(together, put(*group, "pools", value=[0b111])))
    yield "tiny--pool-with-a-hole", restated(refitted(together, put(*group, "pools", value=[0b010, 0b101])))
    overlapping = put(*group, "classes", value=[[0b00111], [0b10101]]), put(*above, value=[[0, 1], [1, 1]])
    yield "tiny--classes-that-overlap", restated(refitted(together, *overlapping))
    yield "tiny--one-step", restated(refitted(together, steps=1))
    yield "tiny--many-steps", restated(refitted(together, steps=1 << 12))
    yield "tiny--largest-step", restated(together, put(*above, 0, 1, value=1 << 8192))
    yield "tiny--smallest-step", restated(together, *(put(*args, value=x) for args, x in smallest_step(together)))
    moved = [change(*above, 0, i, by=(-1) ** i << 16 + 9 * i) for i in range(2, 6)]
    yield "tiny--phases-of-many-steps", restated(together, *moved)
    yield from counted_in_parts()
    groups = step_at(apart, "separable_counts")["args"]["groups"]
    backwards = [{**group, "blocks": group["blocks"][::-1]} for group in groups[::-1]]
    yield (
        "tiny--groups-backwards",
        restated(apart, put(*at(apart, "separable_counts", "args", "groups"), value=backwards)),
    )
    kept = step_at(together, "score_exact")["conclusion"]
    error = [max(row) - min(row) >> 6 for row in kept["kept"]]
    yield "tiny--looser-scores", restated(together, put(*scores, "error", value=error))

    wrong = ("predicate", "claim", "wrong")
    yield "tiny--one-wrong-unclaimed", edited(exact, change(*wrong, by=-1))
    yield "tiny--no-wrong-claimed", edited(exact, put(*wrong, value=0))
    ties = prove("all-ties", "exact")
    yield "all-ties--no-wrong-claimed", edited(ties, put(*wrong, value=0))


def refitted(base: Statement, *edits: Edit, steps: int = 128) -> Statement:
    """A changed copy, with a step and phases for all that separable_counts counts: rows of `above` and `below` need no
    more than what is counted."""
    statement = edited(base, *edits)
    listed = statement["predicate"]["steps"]
    proof = Derivation(MODELS / statement["subject"][0]["name"], Fraction(statement["predicate"]["margin"]))
    proof.facts = [RULES[step["rule"]].concludes.decode(step["conclusion"], "") for step in listed]
    step = step_at(statement, "separable_counts")
    for group in step["args"]["groups"]:
        for row in rows_of([group]):
            row[1:] = [1, *[0 for _ in [*group["pools"], 1]]]
    step["args"] = with_cuts(proof, step["premises"][0], step["args"], fitting(steps))
    return statement


def smallest_step(base: Statement) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Whole units, where these are so coarse that few of them are between the least and the most."""
    args = at(base, "separable_counts", "args")
    yield (*args, "bits"), 8
    yield (*args, "exponent"), 0
    for i, group in enumerate(step_at(base, "separable_counts")["args"]["groups"]):
        cut = [1, *[0 for _ in [*group["pools"], 1]]]
        yield (*args, "groups", i, "blocks", 0, "parts", 0, "above"), [[0, *cut]]


def two_sided(model: str, parts: int = 2) -> Statement:
    """Every query by itself, in parts by the largest tokens below the maximum, wrong tokens counted together and with
    factors from above, and from below the token before the maximum."""
    base = prove(model, "separable-by-max")
    sizes = base["predicate"]["model"]
    v, k = sizes["d_vocab"], sizes["n_ctx"]
    groups = []
    for m in range(v):
        tokens = list(range(m))[::-1][:parts]
        queries = [1 << q for q in range(m if k == 1 else 0, m + 1)]
        made = group_of((v, k), m, [(1 << v) - 1 ^ 1 << m], queries, parts=tokens, below=(m - 1) % v)
        made["classes"][0] += [1 + abs(y - m) for y in range(v) if y != m]
        groups.append(made)
    return restated(refitted(base, put(*at(base, "separable_counts", "args", "groups"), value=groups)))


def counted_in_parts() -> Iterator[tuple[str, Statement]]:
    """From above and from below."""
    both = two_sided("tiny")
    yield "tiny--both-sides", both
    for model in ("one-position", "all-ties", "mixed-dtypes"):
        yield f"{model}--both-sides", two_sided(model)
    groups = at(both, "separable_counts", "args", "groups")
    alone = [put(*groups, m, "classes", 0, value=[0b11111 ^ 1 << m]) for m in range(5)]
    yield "tiny--both-sides-without-factors", restated(refitted(both, *alone))
    huge = [put(*groups, m, "classes", 0, value=[0b11111 ^ 1 << m, *[3 << 400] * 4]) for m in range(5)]
    yield "tiny--both-sides-huge-factors", restated(refitted(both, *huge))

    def own_classes(statement: Statement) -> None:
        """Of each block, and nothing shared; what stays behind counted in no part."""
        for group in step_at(statement, "separable_counts")["args"]["groups"]:
            (shared,) = group["classes"]
            group["classes"] = []
            for block in group["blocks"]:
                block["classes"] = [list(shared)]

    yield "tiny--both-sides-own-classes", restated(refitted(both, own_classes))
    yield "tiny--both-sides-less-claimed", edited(both, change("predicate", "claim", "wrong", by=-3))


def derived(statement: Statement, number: int) -> list[list[int]]:
    """The counts that the checker derives at a step, from the stated premises."""
    model = (MODELS / statement["subject"][0]["name"]).read_bytes()
    margin = Fraction(statement["predicate"]["margin"]).as_integer_ratio()
    steps = statement["predicate"]["steps"]
    step, rule = steps[number], RULES[steps[number]["rule"]]
    facts = [RULES[steps[i]["rule"]].concludes.decode(steps[i]["conclusion"], "") for i in step["premises"]]
    args = {key: decode(step["args"][key], key) for key, decode in rule.args.items()}
    tally: Any = rule.derive(max_of_k(read_weights(model), margin, 1 << 40), tuple(facts), args)
    return [list(count) for count in tally.counts]


def restated(base: Statement, *edits: Edit) -> Statement:
    """A changed copy that claims all it can: what the checker derives from its groups, and the sum of all counts."""
    statement = edited(base, *edits)
    steps = statement["predicate"]["steps"]
    for number, step in enumerate(steps):
        if step["rule"] == "separable_counts":
            step["conclusion"]["counts"] = derived(statement, number)
    return summed(statement)


def summed(statement: Statement) -> Statement:
    """With the total, in the last step, and the claim that its counts make."""
    steps = statement["predicate"]["steps"]
    counts = [count for number in steps[-1]["premises"] for count in steps[number]["conclusion"]["counts"]]
    decided = {"correct": sum(count[3] for count in counts), "wrong": sum(count[4] for count in counts)}
    return edited(
        statement,
        put("predicate", "steps", -1, "conclusion", value=decided),
        put("predicate", "claim", value={**decided, "total": statement["predicate"]["claim"]["total"]}),
    )


def three_ways_to_count() -> Statement:
    """Pairs (q, m) of even m settled at once or branched, of odd m with wrong tokens apart."""
    statement, other = prove("tiny", "exact"), prove("tiny", "separable-exact")
    apart, branch = step_at(other, "separable_counts"), step_at(statement, "branch_sequences")
    leave_groups(step_at(statement, "separable_counts"), lambda group: group["m"] % 2 == 0)
    leave_groups(apart, lambda group: group["m"] % 2 == 1)
    leave(branch, lambda m, q: m % 2 == 0)
    steps = statement["predicate"]["steps"]
    steps.insert(2, apart)
    steps[-1]["premises"] = [3, 1, 2]
    return summed(statement)


def left_out() -> Iterator[tuple[str, Statement]]:
    """Proofs that pass over cells, so that less is counted than before; they claim what was counted before."""
    cubic, together, exact = (prove("tiny", strategy) for strategy in ("cubic", "separable-by-max", "exact"))
    pure, others = cubic["predicate"]["steps"][-1]["premises"]
    yield "pure-sequences", edited(cubic, put(*at(cubic, "total"), "premises", value=[others]))
    yield "other-sequences", edited(cubic, put(*at(cubic, "total"), "premises", value=[pure]))

    def skip_group(statement: Statement) -> None:
        leave_groups(step_at(statement, "separable_counts"), lambda group: group["m"] != 3)

    def skip_pair(statement: Statement) -> None:
        step = step_at(statement, "branch_sequences")
        m, query = step["conclusion"]["counts"][0][:2]
        leave(step, lambda other, q: (other, 1 << q) != (m, query))

    def skip_all(statement: Statement) -> None:
        leave_groups(step_at(statement, "separable_counts"), lambda group: False)

    yield "group", edited(together, skip_group)
    blocks = (*at(together, "separable_counts"), "args", "groups", 3, "blocks")
    fewer = restated(together, put(*blocks, 0, "queries", value=0b1101))
    yield "group-query", edited(fewer, *same_claim(together))
    yield "group-all", edited(together, skip_all)
    yield "pair", edited(exact, skip_pair)


def same_claim(base: Statement) -> tuple[Edit, ...]:
    """The last step and the claim are those of this certificate."""
    predicate = base["predicate"]
    last = put("predicate", "steps", -1, "conclusion", value=predicate["steps"][-1]["conclusion"])
    return last, put("predicate", "claim", value=predicate["claim"])


def step_at(statement: Statement, rule: str) -> Statement:
    """The only step with this rule."""
    return statement["predicate"]["steps"][step_of(statement, rule)]


def leave(step: Statement, chosen: Callable[[int, int], bool]) -> None:
    """Drop the pairs (q, m) for which chosen(m, q) is false from a step with `queries`."""
    counts = [count for count in step["conclusion"]["counts"] if chosen(count[0], count[1].bit_length() - 1)]
    step["conclusion"]["counts"] = counts
    step["args"]["queries"] = [sum(c[1] for c in counts if c[0] == m) for m in range(len(step["args"]["queries"]))]


def leave_groups(step: Statement, chosen: Callable[[Statement], bool]) -> None:
    """Drop the groups for which chosen(group) is false from a step with `groups`."""
    counts = iter(step["conclusion"]["counts"])
    listed = [(group, [next(counts) for _ in group["blocks"]]) for group in step["args"]["groups"]]
    listed = [(group, counted) for group, counted in listed if chosen(group)]
    step["args"]["groups"] = [group for group, _ in listed]
    step["conclusion"]["counts"] = [count for _, counted in listed for count in counted]


def add_pair(step: Statement, m: int, q: int, k: int) -> None:
    """One more pair in a step with `queries`, nothing counted of it, in the place where the rule has it."""
    step["args"]["queries"][m] |= 1 << q
    counts = step["conclusion"]["counts"]
    counts.append([m, 1 << q, (1 << k - (q < m)) - 1, 0, 0])
    counts.sort()


def rejected() -> Iterator[tuple[str, Statement]]:
    """reject/CODE--what: well formed, about this very model, and wrong."""
    cubic, brute = prove("tiny", "cubic"), prove("tiny", "brute-force")
    margin = prove("tiny", "cubic", "1/8")
    model, claim, steps = ("predicate", "model"), ("predicate", "claim"), ("predicate", "steps")
    direct, value, tokens, pure, count, total = (
        at(cubic, rule)
        for rule in (
            "direct_path_upper",
            "value_path_upper",
            "cubic_tokens",
            "pure_sequences",
            "count_cubic",
            "total",
        )
    )
    last = step_of(cubic, "total")

    for size in ("d_vocab", "d_model", "d_head", "n_ctx"):
        yield f"wrong-size--{size}", edited(cubic, change(*model, size, by=-1))
    yield "wrong-size--one-more", edited(cubic, put(*model, "comment", value=1))
    yield "wrong-size--one-missing", edited(cubic, drop(*model, "d_head"))
    yield "wrong-size--huge", edited(cubic, put(*model, "d_head", value=10**3000))
    yield "wrong-task--k-is-3", edited(cubic, put("predicate", "task", "k", value=3))
    yield "wrong-total--of-k-3", edited(cubic, put(*claim, "total", value=5**3))
    yield "wrong-total--zero", edited(cubic, put(*claim, "total", value=0), put(*claim, "correct", value=0))

    yield "nothing-proved--no-steps", edited(cubic, put(*steps, value=[]))
    yield (
        "nothing-proved--no-steps-claim-zero",
        edited(cubic, put(*steps, value=[]), put(*claim, "correct", value=0)),
    )
    yield "nothing-proved--no-total", edited(cubic, drop(*total))
    yield (
        "nothing-proved--total-not-last",
        edited(cubic, lambda s: s["predicate"]["steps"].append(s["predicate"]["steps"][0])),
    )

    for what, number in (("itself", last), ("later", last + 1), ("negative", -1), ("huge", 10**3000)):
        yield f"bad-premise--{what}", edited(cubic, put(*total, "premises", 0, value=number))
    yield "bad-premise--nothing-before", edited(cubic, put(*direct, "premises", value=[0]))
    yield "wrong-premises--none-for-total", edited(cubic, put(*total, "premises", value=[]))
    yield "wrong-premises--one-too-many", edited(cubic, put(*tokens, "premises", value=[0, 1, 1]))
    yield "wrong-premises--one-missing", edited(cubic, put(*tokens, "premises", value=[0]))
    yield "wrong-premises--swapped", edited(cubic, put(*tokens, "premises", value=[1, 0]))
    yield "wrong-premises--for-an-axiom", edited(cubic, put(*value, "premises", value=[0]))
    yield "wrong-premises--table-instead-of-tally", edited(cubic, put(*total, "premises", 0, value=0))

    yield "wrong-shape--row-missing", edited(cubic, drop(*direct, "conclusion", "rows", 4))
    yield "wrong-shape--no-rows", edited(cubic, put(*direct, "conclusion", "rows", value=[]))
    yield "wrong-shape--entry-missing", edited(cubic, drop(*value, "conclusion", "rows", 4, 4))
    yield (
        "wrong-shape--entry-added",
        edited(cubic, put(*value, "conclusion", "rows", 0, value=[1 << 99, 1 << 99])),
    )
    yield "wrong-shape--maximum-missing", edited(cubic, drop(*tokens, "conclusion", "masks", 4))
    yield "wrong-shape--query-missing", edited(cubic, drop(*tokens, "conclusion", "masks", 4, 4))
    yield "wrong-shape--n-added", edited(cubic, put(*tokens, "conclusion", "masks", 4, 0, value=[0, 0, 0]))
    yield "wrong-shape--region-missing", edited(cubic, drop(*pure, "conclusion", "counts", 0))
    yield "wrong-shape--no-regions", edited(cubic, put(*pure, "conclusion", "counts", value=[]))

    yield "bound-too-small--direct-path", edited(cubic, change(*direct, "conclusion", "rows", 4, 2, by=-1))
    yield "bound-too-small--value-path", edited(cubic, change(*value, "conclusion", "rows", 3, 1, by=-1))
    yield "bound-too-small--other-exponent", edited(cubic, change(*value, "conclusion", "exponent", by=-1))
    yield "bound-too-small--margin-forgotten", edited(cubic, put("predicate", "margin", value="1/8"))
    yield "token-not-accepted--one-more", edited(cubic, more_tokens(cubic))
    yield (
        "token-not-accepted--the-maximum-itself",
        edited(cubic, change(*tokens, "conclusion", "masks", 4, 4, 0, by=16)),
    )
    yield "token-not-accepted--negative-mask", edited(cubic, put(*tokens, "conclusion", "masks", 4, 4, 0, value=-1))
    yield "token-not-accepted--looser-table", edited(cubic, change(*value, "conclusion", "rows", 4, 3, by=1 << 60))

    yield "wrong-region--other-n", edited(cubic, put(*count, "conclusion", "counts", 0, 2, value=3))
    yield "wrong-region--other-query", edited(cubic, put(*pure, "conclusion", "counts", 1, 1, value=2))
    yield "wrong-region--other-maximum", edited(cubic, change(*pure, "conclusion", "counts", 0, 0, by=1))
    yield (
        "wrong-region--no-queries",
        edited(brute, put(*at(brute, "enumerate_sequences", "conclusion", "counts", 0, 1), value=0)),
    )
    for rule, base in (("pure_sequences", cubic), ("count_cubic", cubic), ("enumerate_sequences", brute)):
        yield f"count-too-large--{rule}", edited(base, change(*at(base, rule, "conclusion", "counts", -1, 3), by=1))
        place = at(base, rule, "conclusion", "counts", -1, 4)
        yield f"count-too-large--{rule}-wrong", edited(base, change(*place, by=1))
    yield "count-too-large--total", edited(cubic, change(*total, "conclusion", "correct", by=1))
    yield "count-too-large--total-wrong", edited(cubic, change(*total, "conclusion", "wrong", by=1))
    yield "count-too-large--claim", edited(cubic, change(*claim, "correct", by=1))
    yield "count-too-large--claim-wrong", edited(cubic, change(*claim, "wrong", by=1))
    rest = cubic["predicate"]["claim"]["total"] - cubic["predicate"]["claim"]["correct"]
    yield "count-too-large--claim-all-others-wrong", edited(cubic, put(*claim, "wrong", value=rest))
    yield "count-too-large--claim-all", edited(cubic, put(*claim, "correct", value=5**4))
    yield (
        "count-too-large--claim-above-stated-total",
        edited(cubic, put(*total, "conclusion", "correct", value=0), put(*claim, "correct", value=1)),
    )
    yield "count-too-large--margin-forgotten", edited(brute, put("predicate", "margin", value="1/8"))
    yield (
        "count-too-large--margin-one-above",
        edited(margin, put("predicate", "margin", value="4"), loosen(margin), put(*claim, "correct", value=0)),
    )
    yield "no-such-region--negative-count", edited(cubic, put(*pure, "conclusion", "counts", 0, 3, value=-1))
    yield "no-such-region--negative-wrong-count", edited(cubic, put(*pure, "conclusion", "counts", 0, 4, value=-1))
    tally, other = cubic["predicate"]["steps"][last]["premises"]
    yield "region-covered-twice--same-premise", edited(cubic, put(*total, "premises", value=[tally, tally]))
    yield "region-covered-twice--third-premise", edited(cubic, put(*total, "premises", value=[tally, other, other]))

    def again(statement: Statement) -> None:
        """The same tally derived by two steps."""
        listed = statement["predicate"]["steps"]
        listed.insert(last, copy.deepcopy(listed[tally]))
        listed[-1]["premises"] = [tally, other, last]

    yield "region-covered-twice--same-tally-by-another-step", edited(cubic, again)
    for what, statement in left_out():
        yield f"count-too-large--{what}-left-out", statement


def rejected_sub_cubic() -> Iterator[tuple[str, Statement]]:
    """The same for the rules of the sub-cubic family."""
    exact, residual, product, recursive, singular = (prove("tiny", strategy) for strategy in SUB_CUBIC)
    owner: dict[str, Statement] = {}
    for base in (exact, residual, product, recursive, singular):
        for step in base["predicate"]["steps"]:
            owner.setdefault(step["rule"], base)

    def of(rule: str, *path: str | int) -> tuple[Statement, tuple[str | int, ...]]:
        return owner[rule], at(owner[rule], rule, *path)

    def wrong(rule: str, *path: str | int, by: int = -1) -> Statement:
        base, place = of(rule, *path)
        return edited(base, change(*place, by=by))

    for rule in ("direct_path_spread", "direct_path_centred_spread"):
        if rule in owner:
            yield f"bound-too-small--{rule}", wrong(rule, "conclusion", "spread", "rows", 0, 2)
    yield "bound-too-small--value_path_spread", wrong("value_path_spread", "conclusion", "rows", 0, 3)
    for rule in ("max_token_drop", "max_token_mean", "max_token_envelope"):
        yield f"bound-too-small--{rule}-slope", wrong(rule, "conclusion", "lines", "rows", 3, 0, by=-(1 << 99))
        yield f"bound-too-small--{rule}-intercept", wrong(rule, "conclusion", "lines", "rows", 3, 1, by=-(1 << 99))
        yield f"bound-too-small--{rule}-spread", wrong(rule, "conclusion", "spread", "rows", 0, 1)
    yield "other-centre--one-unit-away", wrong("direct_path_centred_spread", "conclusion", "centre", "rows", 0, 0)
    yield (
        "wrong-shape--centre-too-short",
        edited_at(*of("direct_path_centred_spread"), drop("args", "centre", "rows", 0, 0)),
    )
    yield (
        "wrong-shape--no-centre",
        edited_at(*of("direct_path_centred_spread"), put("args", "centre", "rows", value=[])),
    )
    yield "wrong-shape--a-centre-for-each-query", centres_of_queries()
    yield "wrong-shape--centre-of-n-missing", edited_at(*of("max_token_mean"), drop("args", "centres", "rows", 2, 0))
    for rule in (rule for rule in owner if rule.startswith("score_")):
        yield f"error-too-small--{rule}", wrong(rule, "conclusion", "error", 4)
        yield f"error-too-small--{rule}-kept-scores-moved", wrong(rule, "conclusion", "kept", 4, 0, by=1 << 999)
        if rule != "score_exact":
            yield f"wrong-shape--{rule}-no-peels", edited_at(*of(rule), put("args", "peels", value=[]))
    yield "not-dominant--sigma-too-small", edited_at(*of("score_singular_value"), halve_sigma)
    yield "not-dominant--witness-of-zeros", edited_at(*of("score_singular_value"), zero_witness)
    base, place = of("attention_ranges")
    m, q, n = next(
        (m, q, n)
        for m, rows in enumerate(base["predicate"]["steps"][place[2]]["conclusion"]["ranges"])
        for q, row in enumerate(rows)
        for n, cell in enumerate(row)
        if cell
    )
    cell = ("conclusion", "ranges", m, q, n)
    stated = base["predicate"]["steps"][place[2]]["conclusion"]["ranges"][m][q][n]
    yield "range-too-narrow--low-end", edited(base, put(*place, *cell, 1, value=stated[2] + 1))
    yield "range-too-narrow--high-end", edited(base, put(*place, *cell, 2, value=stated[1] - 1))
    yield "range-too-narrow--other-gap", wrong("attention_ranges", *cell, 0, by=1)
    yield "wrong-unit--twice-as-fine", wrong("attention_ranges", "conclusion", "bits", by=1)
    for what, gap in (("negative", -1), ("above-m", m + 1), ("huge", 10**3000)):
        yield f"bad-gap--{what}", edited(base, put(*place, "args", "gaps", m, q, n, value=gap))
    yield "bad-gap--query-within-the-gap", edited(base, put(*place, "args", "gaps", 4, 3, 0, value=2))
    yield "bad-gap--the-maximum-alone", edited(base, put(*place, "args", "gaps", 4, 4, 0, value=1))
    yield "wrong-shape--gap-of-an-impossible-cell", edited_at(base, place, lambda s: s["args"]["gaps"][4][0].append(1))
    yield "wrong-shape--gap-missing", edited_at(base, place, drop("args", "gaps", 4, 0, 0))
    yield "wrong-shape--range-left-out", edited(base, put(*place, *cell, value=[]))
    cells, counts = of("gap_cells", "conclusion", "counts")
    yield "count-too-large--gap_cells", edited(cells, change(*counts, -1, 3, by=1))
    yield "count-too-large--gap_cells-wrong", edited(cells, change(*counts, -1, 4, by=1))


def rejected_separable() -> Iterator[tuple[str, Statement]]:
    """The same for the rule that takes groups of pairs (q, m)."""
    relaxed, apart, together, _ = (prove("tiny", strategy) for strategy in SEPARABLE)
    for strategy, base in zip(SEPARABLE, (relaxed, apart, together), strict=False):
        place = at(base, "separable_counts")
        counts = (*place, "conclusion", "counts")
        listed = step_at(base, "separable_counts")["conclusion"]["counts"]
        yield f"count-too-large--{strategy}", edited(base, one_more("separable_counts", base))
        yield (
            f"count-too-large--{strategy}-all",
            edited(base, *(put(*counts, i, 3, value=block_total(c[0], c[1], 4)) for i, c in enumerate(listed))),
        )
        yield f"count-too-large--{strategy}-wrong", edited(base, change(*counts, -1, 4, by=1))
        code = (
            "count-too-large" if strategy == "separable-by-max" else "wrong-token-left-out"
        )  # pairs may not be counted at all
        yield f"{code}--{strategy}-margin-forgotten", edited(base, put("predicate", "margin", value="3"))
        errors = put(*at(base, "score_exact", "conclusion", "error"), value=[1 << 99] * 5)
        yield f"{code}--{strategy}-looser-scores", edited(base, errors)
        yield f"wrong-premises--{strategy}-no-scores", edited(base, put(*place, "premises", value=[]))
        yield f"wrong-premises--{strategy}-scores-twice", edited(base, put(*place, "premises", value=[0, 0]))
        yield f"wrong-region--{strategy}-other-queries", edited(base, change(*counts, -1, 1, by=-1))
        yield f"wrong-region--{strategy}-other-maximum", edited(base, change(*counts, -1, 0, by=-1))
        yield f"wrong-region--{strategy}-one-n-less", edited(base, change(*counts, -1, 2, by=-8))
        yield f"wrong-shape--{strategy}-count-missing", edited(base, drop(*counts, 0))
        yield f"wrong-shape--{strategy}-no-groups", edited(base, put(*place, "args", "groups", value=[]))

    place = at(together, "separable_counts")
    group = (*place, "args", "groups", 3)
    for what, number in (("negative", -1), ("too-large", 5), ("huge", 10**3000)):
        yield f"no-such-region--group-m-{what}", edited(together, put(*group, "m", value=number))
    (block,) = step_at(together, "separable_counts")["args"]["groups"][3]["blocks"]
    for what, blocks in (
        ("none", []),
        ("one-empty", [0b1111, 0]),
        ("query-above-the-maximum", [0b11111]),
        ("only-a-query-above-the-maximum", [0b10000]),
        ("negative", [-1]),
        ("huge", [1 << 9999]),
    ):
        value = [{**block, "queries": queries} for queries in blocks]
        yield f"no-such-region--blocks-{what}", edited(together, put(*group, "blocks", value=value))
    for code, what, classes in (
        ("wrong-token-left-out", "the-smallest", [0b10110]),
        ("wrong-token-left-out", "the-largest", [0b00111]),
        ("wrong-token-left-out", "one-of-several-classes", [0b00001, 0b00010, 0b00100]),
        ("no-such-class", "none", []),
        ("no-such-class", "and-the-maximum-let-in", [0b11111]),
        ("no-such-class", "for-the-maximum", [0b01111]),
        ("no-such-class", "for-a-token-that-there-is-not", [0b110111]),
        ("no-such-class", "negative", [-1]),
        ("no-such-class", "negative-beside-a-right-class", [0b10111, ~0b01000]),
        ("no-such-class", "huge", [1 << 9999]),
    ):
        sets = [[tokens] for tokens in classes]
        yield f"{code}--{what}", edited(together, put(*group, "classes", value=sets))
    yield from rejected_parts()
    for what, pools in (
        ("no-pools", []),
        ("position-missing", [0b001, 0b010]),
        ("position-missing-in-one-pool", [0b011]),
        ("overlap", [0b001, 0b110, 0b100]),
        ("overlap-of-large-pools", [0b111, 0b111]),
        ("one-twice-another-missing", [0b001, 0b010, 0b010]),
        ("the-last-position", [0b001, 0b010, 0b100, 0b1000]),
        ("the-last-position-in-a-pool", [0b1111]),
        ("empty-pool", [0b001, 0b010, 0b100, 0]),
        ("negative", [-1]),
        ("negative-beside-a-right-pool", [0b111, -8]),
        ("huge", [0b111, 1 << 9999]),
    ):
        yield f"not-a-partition--{what}", edited(together, put(*group, "pools", value=pools))
    yield "count-too-large--fewer-steps", refitted(apart, steps=1)
    yield "count-too-large--coarser-pools", refitted(together, put(*group, "pools", value=[0b111]))
    yield "count-too-large--coarser-bits", edited(together, put(*place, "args", "bits", value=8))

    zero = [put("predicate", *path, "correct", value=0) for path in (("claim",), ("steps", -1, "conclusion"))]
    overlapping = put(*group, "blocks", value=[{**block, "queries": queries} for queries in (0b0111, 0b1100)])
    yield "region-covered-twice--blocks-overlap", edited(restated(together, overlapping), *zero)

    def twice(statement: Statement) -> None:
        groups = step_at(statement, "separable_counts")["args"]["groups"]
        groups.append(groups[0])

    yield "region-covered-twice--group-repeated", edited(restated(together, twice), *zero)


def rejected_parts() -> Iterator[tuple[str, Statement]]:
    """The same for what is counted in parts, from above and from below."""
    both = two_sided("tiny")
    counts = at(both, "separable_counts", "conclusion", "counts")
    groups = at(both, "separable_counts", "args", "groups")
    block = (*groups, 3, "blocks", 2)  # q = 2, m = 3
    part = (*block, "parts", 1)
    listed = step_at(both, "separable_counts")["conclusion"]["counts"]
    wrong = [i for i, count in enumerate(listed) if count[4]][-1]
    yield "count-too-large--both-sides", edited(both, change(*counts, wrong, 3, by=1))
    yield "count-too-large--both-sides-wrong", edited(both, change(*counts, wrong, 4, by=1))
    yield "count-too-large--both-sides-margin-forgotten", refitted(both, put("predicate", "margin", value="1/2"))
    plain = [put(*groups, m, "classes", 0, value=[0b11111 ^ 1 << m]) for m in range(5)]
    yield "count-too-large--factors-left-out", refitted(both, *plain)
    yield (
        "count-too-large--one-wrong-token-for-another",
        edited(both, put(*groups, 4, "blocks", 1, "parts", 0, "below", 0, 0, value=0)),
    )
    yield (
        "count-too-large--nothing-from-below",
        edited(both, put(*groups, 4, "blocks", 1, "parts", 0, "below", value=[])),
    )
    first = step_at(both, "separable_counts")["args"]["groups"][3]["blocks"][2]["parts"]
    for what, tokens in (
        ("none", []),
        ("without-a-last-one", [2, 1]),
        ("two-last-ones", [2, -1, -1]),
        ("the-last-one-first", [-1, 2]),
        ("a-token-twice", [2, 2, -1]),
        ("a-token-again-later", [2, 1, 2, -1]),
        ("the-maximum", [3, -1]),
        ("a-larger-token", [4, -1]),
        ("minus-two", [-2, -1]),
        ("huge", [1 << 9999, -1]),
    ):
        value = [{**first[0], "token": token} for token in tokens]
        yield f"not-a-partition--parts-{what}", edited(both, put(*block, "parts", value=value))
    for what, row in (
        ("empty", [0]),
        ("empty-with-a-factor", [0, 1]),
        ("zero-factor", [0b10111, 1, 1, 0, 1]),
        ("negative-factor", [0b10111, 1, -1, 1, 1]),
        ("factor-missing", [0b10111, 1, 1, 1]),
        ("factor-for-the-maximum", [0b10111, 1, 1, 1, 1, 1]),
    ):
        yield f"no-such-class--{what}", edited(both, put(*groups, 3, "classes", 0, value=row))
        yield f"no-such-class--{what}-of-a-block", edited(both, put(*block, "classes", value=[row]))
    cut = first[1]["above"][0][1:]
    for what, field, rows in (
        ("number-too-large", "above", [[1, *cut]]),
        ("number-negative", "above", [[-1, *cut]]),
        ("number-huge", "above", [[1 << 9999, *cut]]),
        ("phase-missing", "above", [[0, *cut[:-1]]]),
        ("phase-too-many", "above", [[0, *cut, 0]]),
        ("no-phases", "above", [[0, 1]]),
        ("below-the-maximum", "below", [[3, *cut]]),
        ("below-no-token", "below", [[5, *cut]]),
        ("below-a-negative-token", "below", [[-1, *cut]]),
        ("below-huge", "below", [[1 << 9999, *cut]]),
        ("below-phase-missing", "below", [[2, *cut[:-1]]]),
        ("below-two-tokens", "below", [[2, *cut], [1, *cut]]),
    ):
        yield f"no-such-class--{what}", edited(both, put(*part, field, value=rows))
    yield "no-such-class--below-of-two-queries", edited(both, put(*block, "queries", value=0b0110))
    yield "no-such-class--below-of-all-queries", edited(both, put(*block, "queries", value=0b1111))
    yield "wrong-token-left-out--in-one-part", edited(both, put(*groups, 4, "blocks", 1, "parts", 0, "above", value=[]))
    yield (
        "wrong-token-left-out--in-all-parts",
        edited(both, *(put(*groups, 4, "blocks", 1, "parts", i, "above", value=[]) for i in range(3))),
    )
    ties = two_sided("all-ties")
    yield (
        "wrong-token-left-out--tie",
        edited(
            ties, put(*at(ties, "separable_counts", "args", "groups", 2, "blocks", 2, "parts", 0, "above"), value=[])
        ),
    )


def rejected_branching() -> Iterator[tuple[str, Statement]]:
    """The same for the rule that takes a set of pairs (q, m), and counts what is wrong."""
    base, rule = prove("tiny", "exact"), "branch_sequences"
    place, step = at(base, rule), step_at(base, rule)
    counts, listed = (*place, "conclusion", "counts"), step["conclusion"]["counts"]
    queries = [(2 << m) - 1 for m in range(5)]
    m, query = listed[-1][:2]
    yield f"count-too-large--{rule}", edited(base, one_more(rule, base))
    yield (
        f"count-too-large--{rule}-all",
        edited(base, *(put(*counts, i, 3, value=block_total(c[0], c[1], 4)) for i, c in enumerate(listed))),
    )
    yield f"count-too-large--{rule}-wrong", edited(base, change(*counts, -1, 4, by=1))
    yield (
        f"count-too-large--{rule}-correct-as-wrong",
        edited(base, change(*counts, -1, 3, by=-1), change(*counts, -1, 4, by=1)),
    )
    yield (
        f"count-too-large--{rule}-wrong-as-correct",
        edited(base, change(*counts, -1, 3, by=1), change(*counts, -1, 4, by=-1)),
    )
    for what, masks in (
        ("none", []),
        ("one-too-few", queries[:-1]),
        ("one-too-many", [*queries, 0]),
        ("negative", [*queries[:-1], -1]),
        ("query-above-the-maximum", [*queries[:-1], 1 << 5]),
        ("huge", [*queries[:-1], 1 << 9999]),
    ):
        yield f"wrong-shape--{rule}-masks-{what}", edited(base, put(*place, "args", "queries", value=masks))
    yield f"wrong-shape--{rule}-no-pair-chosen", edited(base, put(*place, "args", "queries", value=[0] * 5))
    yield f"wrong-region--{rule}-other-query", edited(base, put(*counts, -1, 1, value=query ^ 3))
    yield f"wrong-region--{rule}-other-maximum", edited(base, put(*counts, -1, 0, value=m - 1))
    yield f"wrong-region--{rule}-one-n-less", edited(base, change(*counts, -1, 2, by=-1))
    yield f"wrong-premises--{rule}", edited(base, put(*place, "premises", value=[0]))
    yield "wrong-token-left-out--margin-forgotten-exact", edited(base, put("predicate", "margin", value="3"))

    settled, block = step_at(base, "separable_counts")["conclusion"]["counts"][-1][:2]

    def again(statement: Statement) -> None:
        add_pair(step_at(statement, rule), settled, block.bit_length() - 1, 4)

    yield "region-covered-twice--counted-and-branched", edited(base, again)
    alone = prove("one-position", "exact")

    def impossible(statement: Statement) -> None:
        """One position cannot hold both a query and a larger token; no sequence, but a pair."""
        add_pair(step_at(statement, rule), 3, 0, 1)

    yield "no-such-region--one-position-two-tokens", edited(alone, impossible)
    ties, brute = prove("all-ties", "exact"), prove("all-ties", "brute-force")
    yield "count-too-large--tie-as-correct", edited(ties, change(*at(ties, rule, "conclusion", "counts", 0, 3), by=1))
    tie = at(brute, "enumerate_sequences", "conclusion", "counts", 0, 4)
    yield "count-too-large--tie-as-wrong-by-another-rule", edited(brute, change(*tie, by=1))


def block_total(m: int, block: int, k: int) -> int:
    """How many sequences have this maximum and a query of this bit mask."""
    smaller = (block & ~(1 << m)).bit_count()
    return block.bit_count() * (m + 1) ** (k - 1) - smaller * m ** (k - 1)


def one_more(rule: str, base: Statement) -> Edit:
    """States one sequence more than the rule derives, for the last region that has wrong sequences."""
    counts = derived(base, step_of(base, rule))
    index, count = [(i, count) for i, count in enumerate(counts) if count[3] < block_total(count[0], count[1], 4)][-1]
    return put(*at(base, rule, "conclusion", "counts"), index, 3, value=count[3] + 1)


def edited_at(base: Statement, path: tuple[str | int, ...], edit: Edit) -> Statement:
    """A copy with the step at the path changed."""

    def edit_there(statement: Statement) -> object:
        target: Any = statement
        for key in path:
            target = target[key]
        return edit(target)

    return edited(base, edit_there)


def halve_sigma(step: Statement) -> None:
    step["args"]["sigma"] //= 2


def zero_witness(step: Statement) -> None:
    step["args"]["witness"] = [[0] * len(row) for row in step["args"]["witness"]]


def centres_of_queries() -> Statement:
    """A false claim, 3 of 4 where 1 is true: one centre for each query, each equal to the query, leaves nothing to
    spread, and with as many positions as tokens the centres pass for one per position."""
    statement = prove("as-many-positions-as-tokens", "brute-force")
    centre = {"exponent": 0, "rows": [[-20, -10, 0], [5, -10, 0]]}
    spread = {"exponent": 0, "rows": [[0, 0]]}
    gaps = [[[0, 0]], [[1], [0, 1]]]
    half = 1 << 31
    ranges = [[[[], []]], [[[1, half, half]], [[], [1, half, half]]]]
    counts = [[0, 1, 1, 0, 0], [0, 1, 2, 0, 0], [1, 1, 1, 1, 0], [1, 2, 1, 1, 0], [1, 2, 2, 1, 0]]
    steps: list[tuple[str, list[int], Statement, Statement]] = [
        ("direct_path_centred_spread", [], {"centre": centre}, {"centre": centre, "spread": spread}),
        ("max_token_envelope", [0], {}, {"spread": spread, "lines": {"exponent": 0, "rows": [[0, 10], [0, -5]]}}),
        ("value_path_spread", [], {}, {"exponent": 0, "rows": [[0, 0]]}),
        ("score_exact", [], {}, {"exponent": 0, "kept": [[0, 0], [0, 0]], "error": [0, 0]}),
        ("attention_ranges", [3], {"bits": 32, "gaps": gaps}, {"bits": 32, "ranges": ranges}),
        ("gap_cells", [4, 1, 2], {}, {"counts": counts}),
        ("total", [5], {}, {"correct": 3, "wrong": 0}),
    ]
    names = ("rule", "premises", "args", "conclusion")
    written = [dict(zip(names, step, strict=True)) for step in steps]
    return edited(
        statement,
        put("predicate", "steps", value=written),
        put("predicate", "claim", "correct", value=3),
        put("predicate", "strategy", value="none"),
    )


def more_tokens(base: Statement) -> Edit:
    """Accepts one more token, in the first cell that misses one."""
    path = at(base, "cubic_tokens", "conclusion", "masks")
    masks = base["predicate"]["steps"][path[2]]["conclusion"]["masks"]
    for m, rows in enumerate(masks):
        for q, row in enumerate(rows):
            for n, mask in enumerate(row):
                missing = (1 << m) - 1 & ~mask
                if missing:
                    return put(*path, m, q, n, value=mask | missing & -missing)
    raise ValueError("every token is accepted")


def loosen(base: Statement) -> Edit:
    """Tables that hold for any margin and no accepted tokens: only the sequences of one token are left to fail."""

    def edit(statement: Statement) -> None:
        for rule in ("direct_path_upper", "value_path_upper"):
            table = statement["predicate"]["steps"][step_of(base, rule)]["conclusion"]
            table["rows"] = [[1 << 99] * len(row) for row in table["rows"]]
        tokens = statement["predicate"]["steps"][step_of(base, "cubic_tokens")]["conclusion"]
        tokens["masks"] = [[[0] * len(row) for row in rows] for rows in tokens["masks"]]
        counts = statement["predicate"]["steps"][step_of(base, "count_cubic")]["conclusion"]["counts"]
        for count in counts:
            count[3] = 0

    return edit


def about_other_models() -> Iterator[tuple[str, Statement]]:
    """other-model/CODE--what: about other weights than those of the model that it is checked against."""
    cubic = prove("tiny", "cubic")
    digest = ("subject", 0, "digest", "sha256")
    tensors = ("predicate", "model", "tensors")
    names = list(cubic["predicate"]["model"]["tensors"])
    stored = cubic["predicate"]["model"]["tensors"]
    yield "model-digest--zeros", edited(cubic, put(*digest, value="0" * 64))
    yield (
        "model-digest--of-another-model",
        edited(cubic, put(*digest, value=prove("one-token", "cubic")["subject"][0]["digest"]["sha256"])),
    )
    yield (
        "model-digest--no-steps",
        edited(cubic, put(*digest, value="0" * 64), put("predicate", "steps", value=[])),
    )
    yield "tensor-digest--zeros", edited(cubic, put(*tensors, names[0], value="0" * 64))
    yield "tensor-digest--one-more", edited(cubic, put(*tensors, "embed.W_E2", value="0" * 64))
    yield "tensor-digest--one-missing", edited(cubic, drop(*tensors, "embed.W_E"))
    yield "tensor-digest--none", edited(cubic, put(*tensors, value={}))
    yield (
        "tensor-digest--swapped",
        edited(
            cubic,
            put(*tensors, "embed.W_E", value=stored["unembed.W_U"]),
            put(*tensors, "unembed.W_U", value=stored["embed.W_E"]),
        ),
    )


def over_limits() -> Iterator[tuple[str, Statement]]:
    """resource-limit/CODE--what: checking would cost too much."""
    cubic = prove("long", "cubic")
    step = {
        "rule": "enumerate_sequences",
        "premises": [],
        "args": {"exponent": -20, "bits": 32},
        "conclusion": {"counts": []},
    }
    yield "over-budget--5-to-the-12-sequences", edited(cubic, put("predicate", "steps", value=[step]))
    base = prove("tiny", "separable-by-max")
    cut = at(base, "separable_counts", "args", "groups", 3, "blocks", 0, "parts", 0, "above", 0)
    yield "over-budget--step-of-one-unit", edited(base, put(*cut, 1, value=1))
    yield "over-budget--phase-of-1000-digits", edited(base, put(*cut, 2, value=-(10**1000)), put(*cut, 1, value=1))
    pure = {"rule": "pure_sequences", "premises": [], "args": {}, "conclusion": {"counts": []}}
    steps = [pure | {"args": {"exponent": -20, "bits": 4096 - at}} for at in range(60)]
    yield "over-budget--60-precisions", edited(cubic, put("predicate", "steps", value=steps))


def malformed() -> Iterator[tuple[str, bytes]]:
    """malformed/CODE--what.cert.json: outside the format; about tiny.safetensors if anything."""
    cubic = prove("tiny", "cubic")
    plain = to_bytes(cubic)
    packed = gzip.compress(plain, mtime=0)

    def raw(old: str, new: str) -> bytes:
        text = plain.decode()
        if text.count(old) < 1:
            raise ValueError(old)
        return text.replace(old, new, 1).encode()

    task, claim, steps = ("predicate", "task"), ("predicate", "claim"), ("predicate", "steps")
    tokens = at(cubic, "cubic_tokens")
    correct = f'"correct": {cubic["predicate"]["claim"]["correct"]},'

    yield "not-json--empty", b""
    yield "not-json--truncated", plain[: len(plain) // 2]
    yield "not-json--last-brace-missing", plain.rstrip()[:-1]
    yield "not-json--two-values", plain + b"{}\n"
    yield "not-json--byte-order-mark", b"\xef\xbb\xbf" + plain
    yield "not-json--utf-16", plain.decode().encode("utf-16")
    yield "not-json--latin-1", raw("tiny.safetensors", "t\xefny").decode().encode("latin-1")
    yield "not-json--deep-nesting", b"[" * 5000 + b"]" * 5000
    yield "not-json--underscore", raw(correct, '"correct": 1_0,')
    yield "not-json--leading-zero", raw(correct, '"correct": 010,')
    yield "not-json--plus-sign", raw(correct, '"correct": +10,')
    yield "not-json--hexadecimal", raw(correct, '"correct": 0x10,')
    yield "not-json--full-width-digits", raw(correct, '"correct": １０,')
    yield "not-json--comment", b"// a comment\n" + plain
    yield "not-json--trailing-comma", raw(correct, '"correct": 10,,')
    for name in ("NaN", "Infinity", "-Infinity", "1e400", "1e3", "10.0", "-0.0"):
        yield f"not-an-integer--{name}", raw(correct, f'"correct": {name},')
    yield "bad-number--minus-zero", raw(correct, '"correct": -0,')
    yield "bad-number--4001-digits", raw(correct, f'"correct": {"1" * 4001},')
    yield "bad-number--5000-digits", raw(correct, f'"correct": {"1" * 5000},')
    yield "duplicate-key--top", raw('"predicateType":', '"_type": "VERIFIED", "predicateType":')
    yield "duplicate-key--claim", raw(correct, f'{correct} "correct": 625,')
    yield "duplicate-key--step", raw('"premises":[]', '"premises":[],"premises":[]')
    for what, text in (("high", "\ud800"), ("low", "\udc80"), ("pair-backwards", "\udc00\ud800")):
        yield f"lone-surrogate--{what}", to_bytes(edited(cubic, put("subject", 0, "name", value=f"{text}.safetensors")))
    yield "lone-surrogate--strategy", to_bytes(edited(cubic, put("predicate", "strategy", value="x\ud800")))
    yield "lone-surrogate--key", to_bytes(edited(cubic, put("predicate", "x\udfff", value=1)))
    yield "signed-envelope--dsse", envelope(plain)
    yield "signed-envelope--sigstore-bundle", b'{"mediaType": "", "dsseEnvelope": %s}' % envelope(plain)
    yield "signed-envelope--gzip", gzip.compress(envelope(plain), mtime=0)
    yield "bad-gzip--truncated", packed[:-1]
    yield "bad-gzip--only-the-magic", packed[:2]
    yield "bad-gzip--trailing-garbage", packed + b"VERIFIED"
    yield "bad-gzip--two-members", packed + packed
    yield "bad-gzip--checksum", packed[:-8] + bytes(8)
    yield "not-json--gzip-in-gzip", gzip.compress(packed, mtime=0)

    yield "wrong-type--list-at-top", b"[" + plain + b"]"
    yield "wrong-type--null", b"null"
    levels = {
        "statement": (),
        "subject": ("subject", 0),
        "digest": ("subject", 0, "digest"),
        "predicate": ("predicate",),
        "task": task,
        "claim": claim,
        "step": tokens,
        "args": (*tokens, "args"),
        "conclusion": (*tokens, "conclusion"),
    }
    for level, path in levels.items():
        yield f"unknown-field--{level}", to_bytes(edited(cubic, put(*path, "comment", value=1)))
    removed = {
        "statement": ("_type",),
        "subject": ("subject", 0, "name"),
        "digest": ("subject", 0, "digest", "sha256"),
        "version": ("predicate", "formatVersion"),
        "margin": ("predicate", "margin"),
        "task": (*task, "k"),
        "claim": (*claim, "total"),
        "claim-wrong": (*claim, "wrong"),
        "total-wrong": (*at(cubic, "total"), "conclusion", "wrong"),
        "step": (*tokens, "premises"),
        "args": (*tokens, "args", "bits"),
        "conclusion": (*tokens, "conclusion", "masks"),
    }
    for what, path in removed.items():
        yield f"missing-field--{what}", to_bytes(edited(cubic, drop(*path)))
    mistyped: dict[str, tuple[tuple[str | int, ...], object]] = {
        "true-as-correct": ((*claim, "correct"), True),
        "true-as-mask": ((*tokens, "conclusion", "masks", 4, 4, 0), True),
        "false-as-premise": ((*tokens, "premises", 0), False),
        "text-as-integer": ((*claim, "correct"), "1_000"),
        "text-as-bound": ((*at(cubic, "direct_path_upper"), "conclusion", "rows", 0, 0), "12"),
        "number-as-margin": (("predicate", "margin"), 0),
        "number-as-strategy": (("predicate", "strategy"), 1),
        "list-as-rule": ((*tokens, "rule"), ["cubic_tokens"]),
        "number-as-steps": (steps, 0),
        "object-as-premises": ((*tokens, "premises"), {}),
        "null-as-conclusion": ((*tokens, "conclusion"), None),
        "list-as-args": ((*tokens, "args"), []),
        "number-as-digest": (("subject", 0, "digest", "sha256"), 0),
        "number-as-name": (("subject", 0, "name"), 0),
        "object-as-subject": (("subject",), {}),
    }
    mistyped |= {
        "null-as-tensors": (("predicate", "model", "tensors"), None),
        "number-as-tensor-digest": (("predicate", "model", "tensors", "comment"), 1),
        "true-as-size": (("predicate", "model", "d_head"), True),
        "text-as-size": (("predicate", "model", "comment"), "VERIFIED"),
    }
    for what, (path, value) in mistyped.items():
        yield f"wrong-type--{what}", to_bytes(edited(cubic, put(*path, value=value)))
    unsupported: dict[str, tuple[tuple[str | int, ...], object]] = {
        "statement-type": (("_type",), "https://in-toto.io/Statement/v0.1"),
        "predicate-type": (("predicateType",), "https://slsa.dev/provenance/v1"),
        "semantics": (("predicate", "semantics"), "float64-any-order"),
        "task": ((*task, "name"), "min-of-k"),
        "no-subject": (("subject",), []),
        "two-subjects": (("subject",), cubic["subject"] * 2),
    }
    first = ("args", "peels", 0, "onto")
    for what, rows in (("no-rows", []), ("empty-rows", [[], []]), ("ragged", [[1], [1, 2]])):
        path = at(prove("tiny", SUB_CUBIC[4]), "score_singular_value", *first)
        yield f"not-a-matrix--{what}", to_bytes(edited(prove("tiny", SUB_CUBIC[4]), put(*path, value=rows)))
    for what, (path, value) in unsupported.items():
        yield f"unsupported--{what}", to_bytes(edited(cubic, put(*path, value=value)))
    for version in ("v2", "v10"):
        urn = f"urn:compact-proofs:accuracy-certificate:{version}"
        yield f"unsupported-version--predicate-type-{version}", to_bytes(edited(cubic, put("predicateType", value=urn)))
    number = ("predicate", "formatVersion")
    newer = edited(cubic, put(*number, value=2), put("predicate", "novelty", value=[]))
    yield "unsupported-version--newer-with-a-new-field", to_bytes(newer)
    for what, value in (("zero", 0), ("true", True), ("text", "1"), ("null", None)):
        yield f"unsupported-version--{what}", to_bytes(edited(cubic, put(*number, value=value)))
    for what, value in (("misspelt", "cubic_token"), ("empty", ""), ("upper-case", "TOTAL"), ("dunder", "__class__")):
        yield f"unknown-rule--{what}", to_bytes(edited(cubic, put(*tokens, "rule", value=value)))
    ranges: dict[str, tuple[tuple[str | int, ...], int]] = {
        "negative-claim": ((*claim, "correct"), -1),
        "negative-total": ((*claim, "total"), -1),
        "bits-too-few": ((*tokens, "args", "bits"), 7),
        "bits-too-many": ((*tokens, "args", "bits"), 4097),
        "negative-wrong-claim": ((*claim, "wrong"), -1),
        "exponent-too-large": ((*at(cubic, "value_path_upper"), "conclusion", "exponent"), (1 << 14) + 1),
        "exponent-too-small": ((*at(cubic, "pure_sequences"), "args", "exponent"), -(1 << 14) - 1),
    }
    for what, (path, value) in ranges.items():
        yield f"out-of-range--{what}", to_bytes(edited(cubic, put(*path, value=value)))
    yield from ((name, to_bytes(statement)) for name, statement in malformed_counts(cubic))
    digest = cubic["subject"][0]["digest"]["sha256"]
    for what, value in (("upper-case", digest.upper()), ("short", digest[:-1]), ("newline", digest + "\n")):
        yield f"bad-digest--{what}", to_bytes(edited(cubic, put("subject", 0, "digest", "sha256", value=value)))
    yield (
        "bad-digest--tensor",
        to_bytes(edited(cubic, put("predicate", "model", "tensors", "embed.W_E", value="g" * 64))),
    )
    fractions = {
        "spaces": " 3/4 ",
        "newline": "3/4\n",
        "underscore": "1_000",
        "exponent": "1e3",
        "decimal": "0.5",
        "full-width": "１",
        "superscript": "²",
        "not-lowest-terms": "2/4",
        "over-one": "3/1",
        "over-zero": "1/0",
        "zero-over": "0/5",
        "negative": "-1",
        "negative-fraction": "-1/2",
        "minus-zero": "-0",
        "plus": "+1",
        "leading-zero": "01",
        "empty": "",
        "infinity": "Infinity",
        "1001-digits": "1" * 1001,
        "5000-digits": "1" * 5000,
    }
    for what, text in fractions.items():
        yield f"bad-fraction--{what}", to_bytes(edited(cubic, put("predicate", "margin", value=text)))


def envelope(payload: bytes) -> bytes:
    """DSSE, in the form that signing tools write; the signature is none."""
    signatures = [{"keyid": "", "sig": "AAAA"}]
    content = {"payload": base64.b64encode(payload).decode(), "payloadType": "application/vnd.in-toto+json"}
    return json.dumps({**content, "signatures": signatures}).encode()


def malformed_counts(cubic: Statement) -> Iterator[tuple[str, Statement]]:
    """Regions, and the arguments of the rules that count."""
    region = at(cubic, "pure_sequences", "conclusion", "counts", 0)
    for what, numbers in (("no", []), ("four", [0, 1, 1, 1]), ("six", [0, 1, 1, 1, 0, 0])):
        yield f"wrong-type--region-of-{what}-integers", edited(cubic, put(*region, value=numbers))
    yield "wrong-type--true-as-wrong-count", edited(cubic, put(*region, 4, value=False))
    ranges, exact, together = prove("tiny", SUB_CUBIC[0]), prove("tiny", "exact"), prove("tiny", "separable-by-max")
    for rule, base in (
        ("pure_sequences", cubic),
        ("cubic_tokens", cubic),
        ("enumerate_sequences", prove("tiny", "brute-force")),
        ("attention_ranges", ranges),
        ("separable_counts", exact),
        ("branch_sequences", exact),
    ):
        yield f"unknown-field--depth-of-{rule}", edited(base, put(*at(base, rule, "args", "depth"), value=64))
    args = at(together, "separable_counts", "args")
    group = (*args, "groups", 3)
    for rule in ("separable_relaxed", "separable_exact"):
        yield f"unknown-rule--{rule}", edited(together, put(*args[:-1], "rule", value=rule))
    block = (*group, "blocks", 0)
    part = (*block, "parts", 0)
    above = (*part, "above", 0)
    for what, number in (("none", 0), ("negative", -1), ("too-large", (1 << 8192) + 1), ("huge", 10**3000)):
        yield f"out-of-range--step-{what}", edited(together, put(*above, 1, value=number))
        yield f"out-of-range--step-{what}-below", edited(together, put(*part, "below", value=[[0, number, 0, 0, 0, 0]]))
    yield "out-of-range--no-step", edited(together, put(*above, value=[0]))
    for level, path, fields in (
        ("group", group, ("m", "pools", "classes", "blocks")),
        ("block", block, ("queries", "classes", "parts")),
        ("part", part, ("token", "above", "below")),
    ):
        for field in fields:
            yield f"missing-field--{field}-of-a-{level}", edited(together, drop(*path, field))
            yield f"wrong-type--text-as-{field}-of-a-{level}", edited(together, put(*path, field, value="1"))
        yield f"unknown-field--steps-of-a-{level}", edited(together, put(*path, "steps", value=1))
        yield f"wrong-type--list-as-{level}", edited(together, put(*path, value=[3, [1, 2, 4], [23], [15]]))
    for what, path in (
        ("pools", (*group, "pools", 0)),
        ("classes", (*group, "classes", 0)),
        ("a-class", (*group, "classes", 0, 0)),
        ("blocks", block),
        ("parts", part),
        ("above", above),
        ("a-step", (*above, 1)),
        ("phases", (*above, 2)),
        ("queries", (*block, "queries")),
    ):
        yield f"wrong-type--true-in-{what}", edited(together, put(*path, value=True))
    yield "wrong-type--empty-class", edited(together, put(*group, "classes", value=[[0b10111], []]))
    yield "wrong-type--empty-class-of-a-block", edited(together, put(*block, "classes", value=[[]]))
    yield "wrong-type--object-as-groups", edited(together, put(*args, "groups", value={}))
    yield "missing-field--groups", edited(together, drop(*args, "groups"))
    yield "unknown-field--queries-of-groups", edited(together, put(*args, "queries", value=[1, 3, 7, 15, 31]))
    branch = at(exact, "branch_sequences", "args")
    yield "unknown-field--steps-of-a-branching", edited(exact, put(*branch, "steps", value=1))
    yield "missing-field--queries", edited(exact, drop(*branch, "queries"))
    yield "wrong-type--number-as-queries", edited(exact, put(*branch, "queries", value=31))
    yield "wrong-type--true-as-query-mask", edited(exact, put(*branch, "queries", 0, value=True))


def corpus() -> dict[str, bytes]:
    """Every file, by its path in tests/certificates."""
    files = {f"accept/{name}": data for name, data in accepted()}
    for folder, statements in (
        ("reject", rejected()),
        ("reject", rejected_sub_cubic()),
        ("reject", rejected_separable()),
        ("reject", rejected_branching()),
        ("reject", general_corpus.rejected()),
        ("reject", region_corpus.rejected()),
        ("reject", profile_corpus.rejected(prove)),
        ("reject", float32_corpus.rejected(prove)),
        ("malformed", region_corpus.malformed()),
        ("malformed", profile_corpus.malformed(prove)),
        ("other-model", about_other_models()),
        ("other-model", general_corpus.about_other_models()),
        ("resource-limit", over_limits()),
        ("resource-limit", general_corpus.over_limits()),
        ("resource-limit", general_corpus.over_limits_of(prove("long", "cubic"))),
    ):
        files |= {f"{folder}/{name}.cert.json": to_bytes(statement) for name, statement in statements}
    outside = [*malformed(), *general_corpus.malformed()]
    return files | {f"malformed/{name}.cert.json": data for name, data in outside}


def main() -> None:
    """Write everything anew."""
    MODELS.mkdir(exist_ok=True)
    write_models()
    for folder in EXIT_CODES:
        shutil.rmtree(CERTIFICATES / folder, ignore_errors=True)
        (CERTIFICATES / folder).mkdir(parents=True)
    for name, data in corpus().items():
        (CERTIFICATES / name).write_bytes(data)


if __name__ == "__main__":
    main()
