"""What a report says, section by section, for a reader who does not know the paper."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from certgen.certificate.consistency import task_of
from certgen.certificate.explain import noun_of
from certgen.certificate.explain_regions import cases_of_neurons, summary_of
from certgen.certificate.losses import Losses, losses
from certgen.certificate.region_facts import RegionFacts, region_facts
from certgen.certificate.statement import EXACT, FLOAT32, Certificate
from certgen.decimals import at_least, at_most, percent_at_least
from certgen.measures.area import OF_LOGIT, area_under_frontier, brute_force_length
from certgen.models.circuits import Circuits
from certgen.models.model_file import Model, load_model
from certgen.progress import Track, quiet
from certgen.report import figures, heat_maps, region_maps, tables
from certgen.report.axes import LostAxis
from certgen.report.figures import Point, Truth, means, points, truth_of, worth_drawing
from certgen.report.markup import label, powers, scientific, text
from certgen.report.page import Choice, Figure, Part, Section
from certgen.report.published import SOURCE, TASKS
from certgen.report.results import Results, Row, Task, best_of_class, find_certificate, find_model
from certgen.report.scores import singular_ratio
from certgen.report.table_one import class_order, table_one
from certgen.strategies import COSTS

PAPER = f'<a href="{SOURCE}">the paper</a>'
TRUTH_OF_AREA = "true accuracy (counted, or estimated; 1 if it is not known)"
MEASURE = "arithmetic on 64-bit words that the checker carries out, reading the weights and the proof included"
FEWEST = 5  # models of a task from which something can be said about how bounds follow a property of models
ERRORS_OF_PAPER = Task(4, 64)  # the task of the model whose errors the paper gives
MOST_LISTED = 8
LONGEST = 36  # characters of a name in the title of a figure


class ByRegions(NamedTuple):
    """A proof about regions: its row, what is counted, what it says."""

    row: Row
    noun: str
    facts: RegionFacts


@dataclass(frozen=True)
class Subject:
    """One model that the page looks into; `model` is None when its file was not found. `number` counts from 1."""

    results: Results
    digest: str
    name: str
    task: Task
    model: Model | None
    number: int

    @property
    def all_rows(self) -> list[Row]:
        return self.results.models.get(self.digest, [])

    @cached_property
    def rows(self) -> list[Row]:
        """The proofs about the model: the strongest of each class, from the strongest class down."""
        return sorted(best_of_class(self.all_rows).values(), key=lambda row: -row.bound)

    @cached_property
    def certificates(self) -> list[tuple[Row, Certificate]]:
        """Those of `rows` that RESULTS has."""
        found = ((row, find_certificate(self.results, row)) for row in self.rows)
        return [(row, certificate) for row, certificate in found if certificate]

    @cached_property
    def losses(self) -> list[tuple[Row, Losses]]:
        """Where they lose sequences of max-of-k."""
        return [(row, losses(one)) for row, one in self.certificates if task_of(one).is_max_of_k]

    @cached_property
    def regions(self) -> ByRegions | None:
        """The strongest of them that is about regions."""
        for row, certificate in self.certificates:
            for facts in region_facts(certificate):
                return ByRegions(row, noun_of(task_of(certificate)), facts)
        return None

    @property
    def one_head(self) -> Model | None:
        """The model, if it was found and is what circuits and their heat maps are about: one head that takes the
        maximum."""
        return self.model if self.model and self.model.is_default and not self.task.other else None

    @property
    def why_not(self) -> str:
        """Why there is no `one_head`."""
        return "it is about max-of-k by one layer with one head" if self.model else "its file was not found"

    @property
    def title(self) -> str:
        """The name for the title of a figure, in plotly's markup."""
        return label(self.name if len(self.name) <= LONGEST else f"{self.name[: LONGEST - 1]}…")

    @property
    def strong(self) -> str:
        """The name for a caption, in HTML."""
        return f"<strong>{text(self.name)}</strong>"

    def figure_name(self, kind: str) -> str:
        """The first model's figures are called by what they show."""
        return kind if self.number == 1 else f"{kind}-{self.number}"

    def part(self, body: str, *drawn: Figure, paired: bool = False) -> Part:
        """Something about this model only."""
        return Part(body, drawn, paired, self.digest)

    def absent(self, what: str, why: str, note: str = "") -> Part:
        return self.part(absent(f"{what} about {self.name}", why) + note)


def subjects(results: Results, given: Path | None, track: Track = quiet) -> list[Subject]:
    """All models of the results, with the one at `given`, or else the first whose file is found, as the first.

    UserError if `given` is not a model.
    """
    chosen = load_model(given) if given is not None else None
    found = {digest: find_model(results, rows[0]) for digest, rows in track([*results.models.items()], "models")}
    if chosen is not None:
        found |= dict.fromkeys([one for one in found if one.startswith(chosen.sha256)] or [chosen.sha256], chosen)
    else:
        chosen = next((model for model in found.values() if model), None)
    first = next((one for one in found if chosen and one.startswith(chosen.sha256)), next(iter(found), ""))
    digests = sorted(found, key=lambda digest: digest != first)
    made = []
    for number, digest in enumerate(digests, start=1):
        model, rows = found[digest], results.models.get(digest)
        if rows:
            name, task = results.names[digest], rows[0].task
        else:  # only a model that was given by hand is not in the results, and its file was read
            assert model is not None
            name, task = model.path.stem, Task(model.n_ctx, model.d_vocab)
        made.append(Subject(results, digest, name, task, model, number))
    return made


def choice(all_subjects: Sequence[Subject]) -> Choice:
    """The models to choose from, by task."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for subject in sorted(all_subjects, key=lambda one: (one.task, one.name)):
        groups.setdefault(str(subject.task), []).append((subject.digest, subject.name))
    return Choice(groups, all_subjects[0].digest if all_subjects else "")


def sections(results: Results, all_subjects: Sequence[Subject], track: Track = quiet) -> list[Section]:
    """All sections in order. Cost: for each model the checker's work for the error table, and one SVD (v^3)."""
    if not results.rows:
        return [claim(results, all_subjects), failures(results)]
    made = [
        claim(results, all_subjects),
        table(results),
        length(results, all_subjects),
        dimension(results, all_subjects),
        faithfulness(results, all_subjects),
        Section("error-table", "How errors compound", [*map(error_table, track(all_subjects, "error tables"))]),
        Section("mechanism", "The mechanism", [mechanism(one) for one in all_subjects]),
        *regions(all_subjects),
        Section(
            "losses",
            "Where strategies lose their sequences",
            [lost(one) for one in track(all_subjects, "certificates")],
        ),
        classes(results),
    ]
    return [*made, failures(results)] if results.failures else made


MAX_OF_K = """<p>Each model here is a transformer of one layer and one attention head that reads K tokens and
answers with the largest of them. Each proof establishes a statement of one form about one model file, fixed by its
SHA-256:</p>
<blockquote><p>Of all v<sup>K</sup> sequences of K tokens out of v, at least N are answered correctly: the logit of the
largest token in the sequence exceeds every other logit{ahead}. {model}, and a tie is wrong.</p></blockquote>"""
ANY_TASK = """<p>Each model here is a small transformer. What it is asked stands beside its name: the inputs, each with
its weight, and the right answer. Each proof establishes a statement of one form about one model file, fixed by its
SHA-256:</p>
<blockquote><p>Of all inputs, those that are answered correctly weigh at least N: the logit of the right answer exceeds
every other logit{ahead}. {model}, and a tie is wrong.</p></blockquote>"""
THE_MODEL = {
    EXACT: "The model is the real function of its weights, in exact arithmetic",
    FLOAT32: "The model is every program that computes this function in float32, with sums in any order",
}


def claim(results: Results, all_subjects: Sequence[Subject]) -> Section:
    ahead = "" if results.margin == "0" else f" by more than {text(results.margin)} logits"
    others = ""
    if results.other_margins:
        listed = text(", ".join(results.other_margins))
        others = f'<p class="note">The results also have proofs with margin {listed}; they are not on this page.</p>'
    if results.other_semantics:
        others += f'<p class="note">There are proofs about {FLOAT32}, too; they are not on this page.</p>'
    told = ANY_TASK if any(task.other for task in results.tasks) else MAX_OF_K
    body = f"""{told.format(ahead=ahead, model=THE_MODEL[results.semantics])}
<p>A short program, the checker, derives each statement again with integers only; how a proof was found has no
influence on that. One can prove the exact number by trying all inputs, where they are few enough. A shorter proof has
to use how the model works, and what it cannot prove measures how much of the behaviour that explanation leaves open. So
two numbers describe a proof: the accuracy it proves, and its length.</p>
<p>This page repeats what a sweep recorded. It verifies nothing itself; the certificates can be checked at any
time.</p>
{others}"""
    return Section("claim", "The claim", [Part(body), *map(claimed, all_subjects)])


def claimed(subject: Subject) -> Part:
    """What is proved about one model."""
    heading = f"<h3>What is proved about {text(subject.name)}</h3>"
    if not subject.rows:
        return subject.part(f"{heading}\n{absent('proof about this model', 'it is not in the results')}")
    first = subject.rows[0]
    body = f"""{heading}
<p>{text(subject.task)}, SHA-256 <code>{text(first.file_sha256)}</code>. {said_truth(first)}</p>
{tables.claims(subject.rows, f"{subject.strong}: for each class of strategies, the strongest proof.")}"""
    with_file = next((row for row in subject.rows if row.certificate), None)
    if with_file:
        command = ["check-cert", with_file.model_path, str(subject.results.directory / with_file.certificate)]
        body += f"\n<p>To check the first of these:</p>\n<pre>{text(shlex.join(command))}</pre>"
    return subject.part(body)


def said_truth(row: Row) -> str:
    """The model's true accuracy in a sentence, in HTML."""
    how = f" ({text(row.true_how)})" if row.true_how else ""
    if row.truth is None:
        return f"Its true accuracy is not known{how}."
    if row.truth_is_counted:
        return f"Its true accuracy is {'' if row.truth == 1 else 'at least '}{at_least(row.truth, 6)}{how}."
    limits = ""
    if row.true_low is not None and row.true_high is not None:
        limits = f", between {at_least(row.true_low, 6)} and {at_most(row.true_high, 6)}"
    return f"Its true accuracy is estimated from a sample{limits}{how}."


def table(results: Results) -> Section:
    models = {task: len({row.model_sha256 for row in results.of(task)}) for task in results.tasks}
    compared = any(task in TASKS for task in results.tasks)
    beyond = ",\nincluding those that the paper does not have" if compared else ""
    body = f"""<p>Bounds divided by the true accuracy, as mean ± standard deviation over models (seeds); the first
line is the true accuracy itself. A class counts for a model with the best bound among all of its strategies{beyond}.
The deviation is that of a sample (divisor: models less one); for one model there is none. Means are rounded down,
deviations up; a dash stands where there is no proof.</p>"""
    names = [text(results.names[digest]) for digest in results.models]
    about = f"about {names[0]}" if len(names) == 1 else f"over {len(names)} models"
    body += tables.table_one_html(
        table_one(results), results.tasks, models, f"<strong>By class and task, {about}</strong>."
    )
    if len(names) > 1:
        listed = "; ".join(
            f"{task}: {', '.join(dict.fromkeys(text(results.names[row.model_sha256]) for row in results.of(task)))}"
            for task in results.tasks
        )
        body += f"\n<details><summary>The {len(names)} models</summary><p>{listed}.</p></details>"
    if compared:
        if results.margin != "0":
            body += "<p><strong>The published values have margin 0; ours here are about a larger margin.</strong></p>"
        body += f"""<p>Values marked <span class="published">published</span> are those of {PAPER}, Table 1: 150
models of its authors, other seeds than ours. They were computed in float32, with no allowance for rounding, and not
every step of the code behind them is a valid inference. Ours are the bounds of certificates, exact and open to the
checker. Lines without published values are classes that the paper does not have.</p>"""
    return Section("table-one", "Accuracy proved, by class", [Part(body)])


READ_LOST = """Higher is better: the scale is of the sequences that are <em>not</em> proved, each line a tenth of the
one below."""
READ_TRUTH = "The dashed line is the true accuracy, which no proof can pass."
READ_ESTIMATE = """The dashed line is an estimate of the true accuracy, the band its limits: a proof may lie above the
line, by chance."""
OF_FRONTIER = "the frontier, from the shortest proof to the longest."
APART = " Classes of the same dimension are moved apart a little; hovering gives the number itself."
READ_ZERO = "On the line marked 0 every sequence is proved; a logarithmic scale has no place for that."


def axis_of(results: Results, task: Task) -> LostAxis:
    """One for all figures of a task, so that models can be compared."""
    rows = results.of(task)
    groups = [rows, [row for row in rows if row.length_ops], [row for row in rows if row.unexplained_dimension]]
    drawn = [*points(rows, ""), *(point for group in groups[1:] for point in means(group))]
    truths = [truth_of(group) for group in (*groups, *(own for own in results.models.values() if own[0].task == task))]
    marks = [mark for truth in truths if truth for mark in truth.marks]
    return LostAxis.of([*(point.lost for point in worth_drawing(drawn)), *marks])


def reading(axis: LostAxis, truth: Truth | None) -> str:
    """How to read the shared axis, with what applies."""
    said = [READ_LOST]
    if truth is not None:
        said.append(READ_TRUTH if truth.limits is None else READ_ESTIMATE)
    return " ".join([*said, READ_ZERO] if axis.zero else said)


def not_drawn(all_points: Sequence[Point]) -> str:
    """The strategies that prove almost nothing, in HTML."""
    weak = [point for point in all_points if 1 - point.lost < figures.LEAST_DRAWN]
    if not weak:
        return ""
    named = [f"<code>{text(point.strategy)}</code> ({percent_at_least(1 - point.lost, 2)})" for point in weak]
    what = f"Not drawn, because less than {float(figures.LEAST_DRAWN):.0%} is proved"
    return folded(what, named)


def folded(what: str, named: Sequence[str]) -> str:
    """A list in a sentence, folded away if it is long."""
    if len(named) <= MOST_LISTED:
        return f'<p class="note">{what}: {", ".join(named)}.</p>'
    return (
        f'<details class="note"><summary>{what}: {len(named)} strategies</summary><p>{", ".join(named)}.</p></details>'
    )


def length(results: Results, all_subjects: Sequence[Subject]) -> Section:
    title = "Bound against proof length"
    if not any(row.length_ops for row in results.rows):
        why = "no row has length_ops; a sweep measures lengths unless it is told --no-length"
        return Section("length", title, [Part(absent("proof length", why))])
    intro = f"""<p>How much does a longer proof buy? Length is {MEASURE}. The black line is the frontier: the
proofs that no other one in the figure beats with a proof as short. No mark lies above it.</p>
<p>One number for all proofs about a model is the area under its frontier: the best bound so far as a share of the
{TRUTH_OF_AREA}, averaged over the logarithm of length, from reading the weights to brute force. It is 0 if nothing
shorter than brute force proves anything; 1 would be a proof of the truth for the price of reading the
weights.</p>"""
    parts = [Part(intro)]
    for task in results.tasks:
        rows = [row for row in results.of(task) if row.length_ops]
        if len({row.model_sha256 for row in rows}) > 1:
            parts.append(mean_part(results, task, rows, "length"))
    return Section("length", title, [*parts, *(length_of(subject) for subject in all_subjects)])


def mean_part(results: Results, task: Task, rows: Sequence[Row], kind: str) -> Part:
    """Strategies by their means over the models of one task, against length or dimension; all rows have it."""
    models = len({row.model_sha256 for row in rows})
    all_points = means(rows)
    drawn = worth_drawing(all_points)
    partly = sorted({row.strategy for row in rows} - {point.strategy for point in all_points})
    note = not_drawn(all_points)
    if partly:
        note += folded(
            f"Not drawn, because they were not used on all of these {models} models",
            [f"<code>{text(name)}</code>" for name in partly],
        )
    what = f"<strong>Mean over {models} models</strong>, {text(task)}"
    if not drawn:
        return Part(
            absent(f"figure of means for {task}", "no strategy that proves something was used on all models") + note
        )
    axis, order = axis_of(results, task), class_order(results.rows)
    draw = figures.bound_against_length if kind == "length" else figures.bound_against_dimension
    truth = truth_of(rows)
    plot = draw(drawn, truth, axis, order, f"Mean over {models} models: {task}")
    moved = APART if kind == "dimension" and figures.coincide(drawn) else ""
    caption = f"""{what}: each mark is one strategy, at the mean of what it does not prove and its mean {kind}.{moved}
{reading(axis, truth)}"""
    figure = Figure(f"bound-against-{kind}-mean-of-{task.file_name}", caption, plot)
    if kind == "length":
        note += tables.frontier(figures.frontier(drawn), f"{what}: {OF_FRONTIER}")
    return Part("", [figure], after=note)


def length_of(subject: Subject) -> Part:
    measured = points([row for row in subject.all_rows if row.length_ops], subject.name)
    drawn = worth_drawing(measured)
    if not drawn:
        why = "no proof that proves something has a length" if measured else "no length was measured for it"
        return subject.absent("figure", why, not_drawn(measured))
    axis, order = axis_of(subject.results, subject.task), class_order(subject.results.rows)
    truth = truth_of(subject.all_rows)
    plot = figures.bound_against_length(drawn, truth, axis, order, subject.title)
    caption = f"""{subject.strong}: each mark is one proof; hover for its strategy and the command that repeats it.
{reading(axis, truth)}"""
    best = tables.frontier(figures.frontier(drawn), f"{subject.strong}: {OF_FRONTIER}")
    figure = Figure(subject.figure_name("bound-against-length"), caption, plot)
    return Part("", [figure], model=subject.digest, after=not_drawn(measured) + best + area(subject))


def area(subject: Subject) -> str:
    """The area under the frontier of a model, in HTML, or why there is none."""
    what = f"area under the frontier of {subject.name}"
    proofs = [(row.length_ops, float(row.bound)) for row in subject.all_rows if row.length_ops]
    tried = [row.length_ops for row in subject.all_rows if row.length_ops and row.cost_class == "brute-force"]
    if subject.model is None:
        return absent(what, "its file was not found, so that the length of reading it is not known")
    if not tried and subject.one_head is None:
        return absent(what, "the results have no length of brute force for it")
    from certgen.length import reading_length

    v, k = subject.model.d_vocab, subject.model.n_ctx
    reading, most = reading_length(subject.model.file_bytes), min(tried, default=brute_force_length(v, k))
    truth = next((row.truth for row in subject.rows if row.truth is not None), Fraction(1))
    found = area_under_frontier(proofs, reading, most, float(truth))
    if found is None:
        return absent(what, "brute force takes no more than reading its weights" if truth else "its accuracy is 0")
    brute = f"brute force {scientific(most)}" if tried else f"brute force about {OF_LOGIT} v<sup>K+1</sup>"
    return f"""<p>Area under the frontier of {subject.strong}: <strong>{at_least(found, 3)}</strong>.
Reading the weights takes {scientific(reading)} operations, {brute}.</p>"""


def dimension(results: Results, all_subjects: Sequence[Subject]) -> Section:
    title = "Bound against unexplained dimension"
    if not any(row.unexplained_dimension for row in results.rows):
        return Section("dimension", title, [Part(absent("unexplained dimension", "no row has unexplained_dimension"))])
    intro = f"""<p>Unexplained dimension is the measure of {PAPER} for what an explanation leaves unexplained: how
many numbers must be looked at one by one, because nothing was said about them. Trying all sequences looks at
v<sup>K+1</sup> logits. Up and to the left is better: more proved while less is left to brute force.</p>"""
    parts = [Part(intro)]
    for task in results.tasks:
        rows = [row for row in results.of(task) if row.unexplained_dimension]
        if len({row.model_sha256 for row in rows}) > 1:
            parts.append(mean_part(results, task, rows, "dimension"))
    return Section("dimension", title, [*parts, *(dimension_of(subject) for subject in all_subjects)])


def dimension_of(subject: Subject) -> Part:
    known = points([row for row in subject.all_rows if row.unexplained_dimension], subject.name)
    drawn = worth_drawing(known)
    if not drawn:
        why = "no proof that proves something has an unexplained dimension"
        return subject.absent("figure", why, not_drawn(known))
    axis, order = axis_of(subject.results, subject.task), class_order(subject.results.rows)
    truth = truth_of(subject.all_rows)
    plot = figures.bound_against_dimension(drawn, truth, axis, order, subject.title)
    caption = f"""{subject.strong}: each mark is one proof.{APART * figures.coincide(drawn)}
{reading(axis, truth)}"""
    figure = Figure(subject.figure_name("bound-against-dimension"), caption, plot)
    return Part("", [figure], model=subject.digest, after=not_drawn(known))


def faithfulness(results: Results, all_subjects: Sequence[Subject]) -> Section:
    title = "Bound against faithfulness of the explanation"
    ratios = {one.digest: singular_ratio(one.one_head) for one in all_subjects if one.one_head and one.all_rows}
    finite = {digest: ratio for digest, ratio in ratios.items() if ratio < float("inf")}
    of_task = {task: [d for d in finite if results.models[d][0].task == task] for task in results.tasks}
    enough = [task for task, models in of_task.items() if len(models) >= FEWEST]
    few = [task for task in results.tasks if task not in enough]
    why = f"a relation between models cannot be seen in fewer than {FEWEST} of one task"
    counts = "; ".join(f"{task}: {len(of_task[task])}" for task in few)
    if not enough:
        have = f"the results have, with a file that was found and a finite ratio, {counts}"
        return Section("faithfulness", title, [Part(absent("figure", f"{why}, and {have}"))])
    body = """<p>The explanation says: a model attends by the size of the token alone, whatever the query. Then the
matrix EQKE of scores (query tokens by key tokens) would have rank 1. The ratio of its first two singular values
says how nearly that is so: the larger, the more faithful is “size only”.</p>"""
    if few:
        body += f'\n<p class="note">Not drawn: {text(counts)}; {why}.</p>'
    return Section("faithfulness", title, [Part(body), *(faithful(results, task, finite) for task in enough)])


def faithful(results: Results, task: Task, ratios: dict[str, float]) -> Part:
    """The figure of one task, and what it does not show."""
    rows = [row for row in results.of(task) if row.model_sha256 in ratios]
    of_model = {row.model_sha256: ratios[row.model_sha256] for row in rows}
    best = best_of_class(rows).values()
    drawn = [(point, row.model_sha256) for row in best for point in points([row], results.names[row.model_sha256])]
    strong = [(point, digest) for point, digest in drawn if 1 - point.lost >= figures.LEAST_DRAWN]
    truths = {digest: truth for digest in of_model if (truth := truth_of(results.models[digest]))}
    plot = figures.bound_against_ratio(
        strong, of_model, truths, results.names, class_order(results.rows), f"{len(of_model)} models: {task}"
    )
    missing = len({row.model_sha256 for row in results.of(task)}) - len(of_model)
    caption = f"""<strong>{len(of_model)} models</strong>, {text(task)}: each mark is the best proof of one class about
one model; all marks above each other are about one model, named when hovering, and those of classes that prove the same
are moved apart a little. The dotted line is where the model is that the page shows. {READ_LOST} If proofs are held
back by what the explanation leaves out, marks rise to the right; classes that use the scores exactly have less reason
to."""
    if len(strong) < len(drawn):
        caption += f" {len(drawn) - len(strong)} proofs of less than {float(figures.LEAST_DRAWN):.0%} are not drawn."
    if missing:
        caption += f" {missing} models are left out: no file of theirs was found, or there is no ratio."
    name = f"bound-against-faithfulness-{task.file_name}"
    return Part("", [Figure(name, caption, plot)])


def error_table(subject: Subject) -> Part:
    if subject.one_head is None:
        return subject.absent("table", subject.why_not)
    from certgen.measures.error_table import error_table

    rows = list(error_table(Circuits(subject.one_head, Fraction(0))))
    published = subject.task == ERRORS_OF_PAPER
    compared = ""
    if published:
        compared = f"; the published ones\nare those that {PAPER} gives for another model of this task, in float32"
    return subject.part(f"""<p>Cheap proofs replace the scores by a few main directions and bound what is left. That
residual is a product of four matrices. How much two of its entries in one row can differ decides how much attention may
go astray; here is the same quantity, bounded at falling cost (v tokens, d dimensions, before division by
√d<sub>head</sub>).</p>
{tables.errors(rows, f"{subject.strong}: the residual of its scores.", published)}
<p>Multiplying everything out is tight. Bounds that multiply less lose a little at every factor, and the losses
multiply. That is why proofs of quadratic length are weak. Every number of this model is certain, derived by the
checker's rule or by exact integer arithmetic{compared}.</p>""")


def mechanism(subject: Subject) -> Part:
    if subject.one_head is None:
        return subject.absent("heat map", subject.why_not)
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
    body = f"""<p>{subject.strong}. Attention copies: if the largest token gets nearly all attention
(EQKE), and attention to a token promotes that token (EVOU), then the answer is the largest token, unless the
query's own path (EUPU) or the positions interfere. Orange is positive, blue negative, white zero; each map has its
own scale.</p>"""
    plots = heat_maps.mechanism(Circuits(subject.one_head, Fraction(0)), subject.title)
    drawn = [Figure(subject.figure_name(name), f"{subject.strong}. {captions[name]}", plots[name]) for name in plots]
    return subject.part(body, *drawn, paired=True)


def regions(all_subjects: Sequence[Subject]) -> list[Section]:
    """Proofs about regions; no section if there are none."""
    if not any(subject.regions for subject in all_subjects):
        return []
    body = """<p>A region is all inputs with one answer and one query token, or a part of them. In it, each head is
bounded at its worst, whatever the others do. Where the sum of these bounds is below zero, the wrong output stays
behind in every input of the region: nothing has to be counted, and the numbers are a statement about the
mechanism.</p>"""
    return [Section("regions", "Region by region", [Part(body), *map(region_by_region, all_subjects)])]


READ_GAPS = """Blue: the wrong output stays behind for every input. Orange: it may get ahead, and the inputs in which it
can are counted as lost. Grey: nothing is proved. Where there is no cell, there is no such input."""


def region_by_region(subject: Subject) -> Part:
    if subject.regions is None:
        return subject.absent("figure", "no certificate about regions was found")
    row, noun, facts = subject.regions
    body = f"""<p>{subject.strong}, <code>{text(row.strategy)}</code>: {text(summary_of(facts, noun))}"""
    grids = [region_maps.by_query(facts), region_maps.by_wrong_output(facts)]
    drawn = []
    for name, grid, whatever in zip(("query", "wrong-output"), grids, ("part", "query"), strict=True):
        if len(grid.columns) < 2:
            continue
        caption = f"""{subject.strong}, by answer and {grid.x}: how far the {"nearest " * (name == "query")}wrong output
is ahead at most, whatever the {whatever}. {READ_GAPS}"""
        plot = region_maps.gap_map(facts, grid, f"{subject.title}: ahead at most, by {grid.x}")
        drawn.append(Figure(subject.figure_name(f"gaps-by-{name}"), caption, plot))
    first = next((grid for grid in grids if len(grid.columns) > 1), None)
    for head in range(facts.heads):
        if first is None:
            break
        caption = f"""{subject.strong}, head {head}: what it adds at most to the same wrong outputs, less the right one;
below zero (blue) it holds them back, whatever the input. All heads have one scale. What they leave of the gap is the
direct path."""
        plot = region_maps.head_map(facts, first, head, f"{subject.title}: head {head}")
        drawn.append(Figure(subject.figure_name(f"gaps-head-{head}"), caption, plot))
    if facts.neurons:
        body += f" {text(cases_of_neurons(facts))}"
        neurons = region_maps.neuron_map(facts, f"{subject.title}: neurons")
        if neurons is not None:
            caption = f"""{subject.strong}: whether what enters a neuron is never negative (on), never positive (off),
or either (bent), for all inputs of a region. A ReLU that is on or off is linear there."""
            drawn.append(Figure(subject.figure_name("neurons"), caption, neurons))
    return subject.part(f"{body}</p>", *drawn, paired=True)


def lost(subject: Subject) -> Part:
    if not subject.losses:
        if subject.regions:
            return subject.absent("figure", "what its proof by regions loses is shown there")
        if subject.task.other or (subject.model and not subject.model.is_default):
            return subject.absent("figure", "its proofs evaluate every input, and lose none but ties")
        return subject.absent("figure", f"no certificate about {subject.name} was found")
    found = subject.losses
    split = [(row, one) for row, one in found if one.unsplit.sequences == 0]
    whole = [row.cost_class for row, one in found if one.unsplit.sequences]
    body = f"""<p>{subject.strong}: the best strategy of each class, from the strongest down. A sequence that is not
proved need not be answered wrong: the proof is silent about it. Only where a bound is the true accuracy (brute
force, for example) is every sequence lost also one that the model gets wrong.</p>"""
    by_maximum = f"""{subject.strong}, by largest token: the share of the sequences with that maximum that the proof
does not cover; white where nothing is lost, and each shade darker ten times as much. Dark columns are tokens that the
model separates badly from their neighbours, for every strategy. There are few sequences of small tokens: a dark left
edge costs little. Hover for the counts."""
    by_n = f"""{subject.strong}, by n, the number of positions before the last one that do not hold the maximum. The
more other tokens there are, the more attention the maximum has to win from them."""
    if whole:
        by_n += f" Not shown, because they count all n at once: {powers(text(', '.join(whole)))}."
    maxima = {row.cost_class: (row.strategy, one.by_maximum) for row, one in found}
    map_by_maximum = heat_maps.loss_map(maxima, "largest token m", f"{subject.title}: lost, by largest token")
    drawn = [Figure(subject.figure_name("losses-by-maximum"), by_maximum, map_by_maximum)]
    if split:
        ns = {row.cost_class: (row.strategy, one.by_n) for row, one in split}
        drawn.append(
            Figure(
                subject.figure_name("losses-by-n"), by_n, heat_maps.loss_map(ns, "n", f"{subject.title}: lost, by n")
            )
        )
    else:
        body += "<p>These proofs count all n at once, so that there is no figure by n.</p>"
    return subject.part(body, *drawn)


def classes(results: Results) -> Section:
    names = class_order(results.rows, complete=any(task in TASKS for task in results.tasks))
    meanings = {
        "brute-force": "every input evaluated",
        "exact": "sequences settled in bundles, until the number is the truth",
        "regions": "all inputs of one query and label at once, each head at its worst",
        "separable": "the same, and the inputs counted in which a wrong output that is not behind may win",
        "cubic": "tokens below the maximum looked at one by one, sequences of such tokens counted",
        "sub-cubic": "only “at least a gap below the maximum” is looked at; no pair of smaller tokens",
        "low-rank QK": "sub-cubic, with the scores replaced by a few directions and an error",
        "low-rank EU": "sub-cubic, with the direct path of the query replaced by a few directions and an error",
        "low-rank QK and EU": "both of these",
        "quadratic QK": "sub-cubic, no matrices of the scores multiplied at all",
        "quadratic QK and EU": "the same, and the direct path by a few directions",
        "adaptive": "sequences counted pair by pair, or once per maximum, the finer the more that covers",
        "two-sided": "pair by pair, the sequences counted that may be wrong, and those that surely are",
        "separable, v^4": "for each wrong token, the sequences counted in which its sum over positions is not negative",
        "separable, v^3": "sequences counted once, with the worst wrong token of each position",
        "separable by max": "sequences counted once per maximum, with the worst query and wrong token of each position",
    }
    costs = {name: f"Checking costs {powers(text(COSTS[name]))}." if name in COSTS else "" for name in names}
    told = {name: f"{meanings[name].capitalize()}. " if name in meanings else "" for name in names}
    entries = "\n".join(f"<dt>{powers(text(name))}</dt><dd>{told[name]}{costs[name]}</dd>" for name in names)
    body = f"""<p>Costs are in v, the number of tokens, d, the width of the model, and k, the sequence length.</p>
<dl>
{entries}
</dl>"""
    return Section("classes", "The classes of strategies", [Part(body)])


def failures(results: Results) -> Section:
    body = f"""<p>{count(len(results.failures), "proof")} could not be made; no number on this page includes what they
would have proved.</p>
{tables.failed(results.failures)}"""
    return Section("failures", "Proofs not made", [Part(body)])


def absent(what: str, why: str) -> str:
    return f'<p class="note">There is no {text(what)} here: {text(why)}.</p>'


def summary(results: Results) -> str:
    """One line on how much there is."""
    models = len({row.file_sha256 for row in results.rows})
    strategies = len({row.strategy for row in results.rows})
    return f"{count(len(results.rows), 'proof')} by {count(strategies, 'strategy')} about {count(models, 'model')}"


def count(number: int, noun: str) -> str:
    plural = noun.removesuffix("y") + "ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
