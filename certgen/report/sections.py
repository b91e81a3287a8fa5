"""What a report says, section by section, for a reader who does not know the paper."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from certgen.certificate.losses import losses
from certgen.certificate.statement import Certificate
from certgen.models.circuits import Circuits
from certgen.models.model_file import Model, load_model
from certgen.progress import Track, quiet
from certgen.report import figures, tables
from certgen.report.markup import powers, text
from certgen.report.page import Figure, Section
from certgen.report.published import SOURCE
from certgen.report.results import Results, Row, best_of_class, find_certificate, find_model
from certgen.report.table_one import class_order, table_one
from certgen.strategies import COSTS

PAPER = f'<a href="{SOURCE}">the paper</a>'
MEASURE = "arithmetic on 64-bit words that the checker carries out, reading the weights and the proof included"


@dataclass(frozen=True)
class Subject:
    """Results, and the model that the page looks into; None when no file of a model was found."""

    results: Results
    model: Model | None
    track: Track = quiet

    @cached_property
    def rows(self) -> list[Row]:
        """The proofs about the model: the strongest of each class, from the strongest class down."""
        digest = self.model.sha256 if self.model else self.results.rows[0].model_sha256
        best = best_of_class(row for row in self.results.rows if row.model_sha256 == digest)
        return sorted(best.values(), key=lambda row: -row.bound)

    @cached_property
    def name(self) -> str:
        """What the model is called on the page."""
        if self.rows:
            return self.rows[0].model
        return self.model.path.stem if self.model else self.results.rows[0].model

    @cached_property
    def certificates(self) -> list[tuple[Row, Certificate]]:
        """The certificates of `rows` that RESULTS has."""
        found = [(row, find_certificate(self.results, row)) for row in self.track(self.rows, "certificates")]
        return [(row, certificate) for row, certificate in found if certificate]


def choose_model(results: Results, given: Path | None) -> Model | None:
    """The model at `given`, or else the first of the results whose file is found; UserError if `given` is not one."""
    if given is not None:
        return load_model(given)
    seen: set[str] = set()
    for row in results.rows:
        if row.model_sha256 not in seen and (model := find_model(results, row)):
            return model
        seen.add(row.model_sha256)
    return None


def sections(subject: Subject) -> list[Section]:
    """All sections in order. Cost: the checker's work for the error table, and one SVD (v^3) per model."""
    made = [
        claim(subject),
        table(subject),
        length(subject.results),
        dimension(subject.results),
        faithfulness(subject),
        error_table(subject),
        mechanism(subject),
        lost(subject),
        classes(subject.results),
    ]
    return [*made, failures(subject.results)] if subject.results.failures else made


def claim(subject: Subject) -> Section:
    results = subject.results
    ahead = "" if results.margin == "0" else f" by more than {text(results.margin)} logits"
    others = ""
    if results.other_margins:
        listed = text(", ".join(results.other_margins))
        others = f'<p class="note">The results also have proofs with margin {listed}; they are not on this page.</p>'
    body = f"""<p>Each model here is a transformer of one layer and one attention head that reads K tokens and
answers with the largest of them. Each proof establishes a statement of one form about one model file, fixed by its
SHA-256:</p>
<blockquote><p>Of all v<sup>K</sup> sequences of K tokens out of v, at least N are answered correctly: the logit of the
largest token in the sequence exceeds every other logit{ahead}. The model is the real function of its weights, in exact
arithmetic, and a tie is wrong.</p></blockquote>
<p>A short program, the checker, derives each statement again with integers only; how a proof was found has no
influence on that. One can always prove the exact number by trying all sequences. A shorter proof has to use how the
model works, and what it cannot prove measures how much of the behaviour that explanation leaves open. So two
numbers describe a proof: the accuracy it proves, and its length.</p>
<p>This page repeats what a sweep recorded. It verifies nothing itself; the certificates can be checked at any
time.</p>
{others}"""
    if subject.rows:
        first = subject.rows[0]
        true = ""
        if first.true_accuracy is not None:
            how = f" ({text(first.true_how)})" if first.true_how else ""
            true = f" Its true accuracy is {first.true_accuracy:.6f}{how}."
        body += f"""<h3>What is proved about {text(subject.name)}</h3>
<p>{text(first.task)}, SHA-256 <code>{text(first.model_sha256)}</code>.{true} For each class of strategies, the
strongest proof:</p>
{tables.claims(subject.rows)}"""
        if first.certificate:
            command = ["check-cert", first.model_path, str(results.directory / first.certificate)]
            body += f"""<p>To check one of them, independently of this page:</p>
<pre>{text(shlex.join(command))}</pre>"""
    return Section("claim", "The claim", body)


def table(subject: Subject) -> Section:
    results = subject.results
    models = {task: len({row.model_sha256 for row in results.of(task)}) for task in results.tasks}
    margin = ""
    if results.margin != "0":
        margin = "<p><strong>The published values have margin 0; ours here are about a larger margin.</strong></p>"
    body = f"""<p>Bounds divided by the true accuracy, as mean ± standard deviation over models (seeds); the first
line is the true accuracy itself. A class counts for a model with the best bound among all of its strategies,
including those that the paper does not have. The deviation is that of a sample (divisor: models less one); for one
model there is none.</p>
{tables.table_one_html(table_one(results), results.tasks, models)}
{margin}<p>Values marked <span class="published">published</span> are those of {PAPER}, Table 1: 150 models of its
authors, other seeds than ours. They were computed in float32, with no allowance for rounding, and not every step of
the code behind them is a valid inference. Ours are the bounds of certificates, exact and open to the checker. Lines
without published values are classes that the paper does not have; a dash stands where there is no proof.</p>"""
    return Section("table-one", "Accuracy proved, by class", body)


def length(results: Results) -> Section:
    if not any(row.length_ops for row in results.rows):
        return Section("length", "Bound against proof length", absent("proof length", "no row has length_ops"))
    caption = f"""Up and to the left is better: more proved by a shorter proof. Length is {MEASURE}. Each point is one
proof; hover for its model, its strategy and the command that repeats it. The black step line is the frontier: the
strategies, averaged over models, that no other strategy beats with a proof as short. The dotted line is the mean
true accuracy.
{thinned(results)}"""
    body = f"<p>How much does a longer proof buy? {len(results.rows):,} proofs, lengths on a logarithmic axis.</p>"
    figure = Figure("bound-against-length", caption, figures.bound_against_length(results))
    return Section("length", "Bound against proof length", body, [figure])


def thinned(results: Results) -> str:
    """A warning that not all points are drawn, where it applies."""
    if all(len(figures.drawn(results.of(task))) == len(results.of(task)) for task in results.tasks):
        return ""
    return (
        f"Only the first models are drawn, about {figures.MOST_POINTS} points for each task; lines and tables use all."
    )


def dimension(results: Results) -> Section:
    title = "Bound against unexplained dimension"
    if not any(row.unexplained_dimension for row in results.rows):
        return Section("dimension", title, absent("unexplained dimension", "no row has unexplained_dimension"))
    body = f"""<p>Unexplained dimension is the measure of {PAPER} for what an explanation leaves unexplained: how
many numbers must be looked at one by one, because nothing was said about them. Trying all sequences looks at
v<sup>K+1</sup> logits.</p>"""
    caption = f"""Up and to the left is better: more proved while less is left to brute force. Strategies side by
side at the same height use explanations that are equally good and unequally detailed. The dotted line is the mean
true accuracy.
{thinned(results)}"""
    figure = Figure("bound-against-dimension", caption, figures.bound_against_dimension(results))
    return Section("dimension", title, body, [figure])


def faithfulness(subject: Subject) -> Section:
    results = subject.results
    title = "Bound against faithfulness of the explanation"
    of_model = {row.model_sha256: row for row in results.rows}
    found = {row.model_sha256: find_model(results, row) for row in subject.track(list(of_model.values()), "models")}
    ratios = {digest: figures.singular_ratio(model) for digest, model in found.items() if model}
    finite = {digest: ratio for digest, ratio in ratios.items() if ratio < float("inf")}
    if not finite:
        return Section("faithfulness", title, absent("this figure", "no file of the models was found"))
    missing = len(of_model) - len(finite)
    note = f" {missing} models are left out: no file of theirs was found, or there is no ratio." if missing else ""
    body = """<p>The explanation says: a model attends by the size of the token alone, whatever the query. Then the
matrix EQKE of scores (query tokens by key tokens) would have rank 1. The ratio of its first two singular values
says how nearly that is so: the larger, the more faithful is “size only”.</p>"""
    caption = f"""Each point is one class of strategies on one model, with its best bound. If proofs are held back
by what the explanation leaves out, points rise to the right; classes that use the scores exactly have less reason
to.{note}"""
    figure = Figure("bound-against-faithfulness", caption, figures.bound_against_ratio(results, finite))
    return Section("faithfulness", title, body, [figure])


def error_table(subject: Subject) -> Section:
    title = "How errors compound"
    if subject.model is None:
        return Section("error-table", title, absent("this table", "no file of the models was found"))
    from certgen.measures.error_table import error_table

    rows = list(error_table(Circuits(subject.model, Fraction(0))))
    body = f"""<p>Model: {text(subject.name)}. Cheap proofs replace the scores by a few main directions and bound
what is left. That residual is a product of four matrices. How much two of its entries in one row can differ decides
how much attention may go astray; here is the same quantity, bounded at falling cost (v tokens, d dimensions, before
division by √d<sub>head</sub>).</p>
{tables.errors(rows)}
<p>Multiplying everything out is tight. Bounds that multiply less lose a little at every factor, and the losses
multiply: the recursive ones exceed the first many times over. That is why proofs of quadratic length are weak. Every
number of this model is certain, derived by the checker's rule or by exact integer arithmetic; the published ones
are those that {PAPER} gives for another model, in float32.</p>"""
    return Section("error-table", title, body)


def mechanism(subject: Subject) -> Section:
    title = "The mechanism"
    if subject.model is None:
        return Section("mechanism", title, absent("the heat maps", "no file of the models was found"))
    captions = {
        "EQKE": """<strong>EQKE</strong>: attention score of each key token at the mean position, in nats relative to
the mean of its row, for each query token. Colours that run evenly from left to right mean: larger tokens get more
attention, whoever asks. Differences between rows are what a rank-1 explanation misses.""",
        "EVOU": """<strong>EVOU</strong>: what attending to a token adds to each logit. A bright diagonal means:
attending to a token says “answer with this token”. Bright spots elsewhere in a row let it speak for a wrong one.""",
        "EUPU": """<strong>EUPU</strong>: what the query token adds to the logits past the attention. Compare its
scale with EVOU's: it should be small, for the last token is not usually the answer.""",
        "position-scores": """<strong>Position scores</strong>: how the score depends on where a token stands,
relative to the mean position, for each query token. Compare with EQKE's scale: a model that looks for the maximum
should hardly care.""",
    }
    body = f"""<p>Model: {text(subject.name)}. Attention copies: if the largest token gets nearly all attention
(EQKE), and attention to a token promotes that token (EVOU), then the answer is the largest token, unless the
query's own path (EUPU) or the positions interfere. Orange is positive, blue negative, white zero; each map has its
own scale.</p>"""
    plots = figures.mechanism(Circuits(subject.model, Fraction(0)))
    return Section("mechanism", title, body, [Figure(name, captions[name], plots[name]) for name in plots], paired=True)


def lost(subject: Subject) -> Section:
    title = "Where strategies lose their sequences"
    if not subject.certificates:
        return Section("losses", title, absent("this figure", f"no certificate about {subject.name} was found"))
    found = [(row, losses(certificate)) for row, certificate in subject.certificates]
    split = [(row, one) for row, one in found if one.unsplit.sequences == 0]
    whole = [row.cost_class for row, one in found if one.unsplit.sequences]
    body = f"""<p>Model: {text(subject.name)}; the best strategy of each class, from the strongest down. A sequence that
is not proved need not be answered wrong: the proof is silent about it. Only where a bound is the true accuracy (brute
force, for example) is every sequence lost also one that the model gets wrong.</p>"""
    by_maximum = """By largest token: the share of the sequences with that maximum that the proof does not cover. Dark
columns are tokens that the model separates badly from their neighbours, for every strategy. There are few sequences of
small tokens: a dark left edge costs little. Hover for the counts."""
    by_n = """By n, the number of positions before the last one that do not hold the maximum. The more other tokens
there are, the more attention the maximum has to win from them."""
    if whole:
        by_n += f" Not shown, because they count all n at once: {powers(text(', '.join(whole)))}."
    maxima = {row.cost_class: (row.strategy, one.by_maximum) for row, one in found}
    drawn = [Figure("losses-by-maximum", by_maximum, figures.loss_map(maxima, "largest token m"))]
    if split:
        ns = {row.cost_class: (row.strategy, one.by_n) for row, one in split}
        drawn.append(Figure("losses-by-n", by_n, figures.loss_map(ns, "n")))
    else:
        body += "<p>These proofs count all n at once, so that there is no figure by n.</p>"
    return Section("losses", title, body, drawn)


def classes(results: Results) -> Section:
    names = class_order(results.rows)
    meanings = {
        "brute-force": "every sequence evaluated",
        "exact": "sequences settled in bundles, until the number is the truth",
        "cubic": "tokens below the maximum looked at one by one, sequences of such tokens counted",
        "sub-cubic": "only “at least a gap below the maximum” is looked at; no pair of smaller tokens",
        "low-rank QK": "sub-cubic, with the scores replaced by a few directions and an error",
        "low-rank EU": "sub-cubic, with the direct path of the query replaced by a few directions and an error",
        "low-rank QK and EU": "both of these",
        "quadratic QK": "sub-cubic, no matrices of the scores multiplied at all",
        "quadratic QK and EU": "the same, and the direct path by a few directions",
        "separable, v^4": "for each wrong token, the sequences counted in which its sum over positions is not negative",
        "separable, v^3": "the same once, with the worst wrong token of each position",
    }
    costs = {name: f"Checking costs {powers(text(COSTS[name]))}." if name in COSTS else "" for name in names}
    told = {name: f"{meanings[name].capitalize()}. " if name in meanings else "" for name in names}
    entries = "\n".join(f"<dt>{powers(text(name))}</dt><dd>{told[name]}{costs[name]}</dd>" for name in names)
    body = f"""<p>Costs are in v, the number of tokens, d, the width of the model, and k, the sequence length.</p>
<dl>
{entries}
</dl>"""
    return Section("classes", "The classes of strategies", body)


def failures(results: Results) -> Section:
    body = f"""<p>{len(results.failures):,} proofs could not be made; no number on this page includes them.</p>
{tables.failed(results.failures)}"""
    return Section("failures", "Proofs not made", body)


def absent(what: str, why: str) -> str:
    return f'<p class="note">There is no {text(what)} here: {text(why)}.</p>'


def summary(results: Results) -> str:
    """One line on how much there is."""
    models = len({row.model_sha256 for row in results.rows})
    strategies = len({row.strategy for row in results.rows})
    return f"{count(len(results.rows), 'proof')} by {count(strategies, 'strategy')} about {count(models, 'model')}"


def count(number: int, noun: str) -> str:
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
