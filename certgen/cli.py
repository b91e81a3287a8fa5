"""The command line of the generator: `certgen COMMAND`.

Heavy modules are imported inside the commands, so that help appears at once.
"""

import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import CommandFunctionType

from certgen.errors import UserError
from certgen.files import as_argument, check_outputs, write_atomically
from certgen.models.seeds import beside, model_paths, parse_seeds
from certgen.terminal import flush, prepare_streams, printable, say, show


class Command(TyperCommand):
    """A command whose help says MODEL for {MODEL} and MODEL <path>, and <int> for <int range>."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [re.sub(r"[{}]", "", piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for title, kind, noise in (("Arguments", "argument", r" <[^>]*>"), ("Options", "option", r" range(?=>)")):
            shown = [param for param in self.get_params(ctx) if param.param_type_name == kind]
            records = [record for record in (param.get_help_record(ctx) for param in shown) if record is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl([(re.sub(noise, "", term), text) for term, text in records])


class App(typer.Typer):
    """An application of such commands."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[CommandFunctionType], CommandFunctionType]:
        return super().command(name, **({"cls": Command} | options))


app = App(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: brackets in a name are no markup, and every terminal can show it
)


class Engine(StrEnum):
    """Where a sweep runs."""

    joblib = "joblib"
    dask = "dask"


class TrainedTask(StrEnum):
    """What a model can be trained for."""

    max = "max"
    min = "min"
    nth_largest = "nth-largest"
    argmax = "argmax"
    sum_mod = "sum-mod"
    contains = "contains"
    first = "first"
    last = "last"
    majority = "majority"


class TrainedActivation(StrEnum):
    """Of the MLPs of a model that is trained; the values of Architecture, but for gelu."""

    relu = "relu"
    silu = "silu"
    gelu = "gelu"
    gelu_tanh = "gelu_tanh"


class TrainedNorm(StrEnum):
    """The LayerNorm of a model that is trained."""

    LN = "LN"
    LNPre = "LNPre"


def main() -> None:
    """Run `certgen`: what a user or the machine can put right becomes one or two lines on stderr and exit code 2.

    An interrupt is exit code 130. Anything else that is raised is a defect of the program, and shows its traceback.
    """
    try:
        prepare_streams()
        try:
            app()
        finally:
            flush()  # here, where a full disk can still be reported
        return
    except UserError as error:
        complain(error.message, error.hint)
    except MemoryError:
        complain("out of memory")
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(2)


def complain(message: str, hint: str = "") -> None:
    """Say on standard error what is wrong, and what to do."""
    with suppress(OSError):  # nobody to tell
        print(printable(f"certgen: {message}"), file=sys.stderr)
        if hint:
            print(printable(f"  {hint}"), file=sys.stderr)


def print_version(wanted: bool) -> None:
    """Of `certgen --version`: print it and stop."""
    if wanted:
        from certgen import __version__

        print(f"certgen {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Write certificates that prove how accurate a small transformer is over all inputs; `check-cert` verifies them."""


@app.command()
def train(
    k: Annotated[
        int | None,
        typer.Option(
            "--k",
            min=1,
            max=1 << 17,
            metavar="K",
            show_default=False,
            help="How many tokens the task is about; not needed with --format.",
        ),
    ] = None,
    d_vocab: Annotated[int, typer.Option(min=1, max=1 << 26, metavar="N", help="Tokens are 0 to D_VOCAB - 1.")] = 64,
    task: Annotated[TrainedTask, typer.Option(metavar="NAME", help="What to answer; see below.")] = TrainedTask.max,
    n: Annotated[
        int | None,
        typer.Option("--n", min=1, metavar="N", show_default=False, help="For nth-largest; 1 is the largest."),
    ] = None,
    modulus: Annotated[
        int | None, typer.Option(min=1, max=1 << 26, metavar="N", show_default=False, help="For sum-mod.")
    ] = None,
    token: Annotated[
        int | None, typer.Option(min=0, metavar="TOKEN", show_default=False, help="For contains: the token to find.")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="WORDS", show_default=False, help='Where tokens stand among others: "BOS n SEP n ANS".'
        ),
    ] = None,
    layers: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Layers.")] = 1,
    heads: Annotated[int, typer.Option(min=1, max=1024, metavar="N", help="Attention heads of a layer.")] = 1,
    mlp: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="D_MLP", show_default=False, help="Width of the MLP of a layer; none unless given."
        ),
    ] = None,
    act: Annotated[
        TrainedActivation | None,
        typer.Option(
            metavar="NAME", show_default=False, help="Activation of the MLP: relu (default), silu, gelu or gelu_tanh."
        ),
    ] = None,
    norm: Annotated[
        TrainedNorm | None,
        typer.Option(metavar="NAME", show_default=False, help="LayerNorm: LN, or LNPre without weights."),
    ] = None,
    d_model: Annotated[int, typer.Option(min=1, metavar="N", help="Width of the residual stream.")] = 32,
    d_head: Annotated[
        int | None,
        typer.Option(
            min=1, max=1 << 26, metavar="N", show_default=False, help="Width of a head; 32 / HEADS unless given."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=10**18 - 1, metavar="N", show_default=False, help="Random seed; 123 unless --seeds is given."
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="LIST", help="Several seeds, trained side by side: 0-9 or 0,3,7 or 0-4,8.")
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="A file, a directory, or a name with {seed} in it.")
    ] = Path("."),
    steps: Annotated[int, typer.Option(min=0, metavar="N", help="Optimizer steps.")] = 3_000,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Random inputs per step and seed.")] = 128,
    threads: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Threads of PyTorch; more are slower for small models.")
    ] = 1,
) -> None:
    """Train models for a task: max-of-K unless another is named.

    Tasks are max, min, nth-largest (with --n), argmax (a position), sum-mod
    (with --modulus), contains (with --token; 0 or 1), first, last, majority.

    A format says where the K tokens stand, n, and what stands between them:
    each word in capitals is one more token.  The answer is read at the last
    position.

    Unless more is asked for, a model has one layer, one head and no MLP.  When
    model or task are others, a problem file for `certgen prove` is written
    beside the model.

    The accuracy printed is that of a random sample: an estimate with a
    standard error.  A proof needs a certificate.

    Examples:

      certgen train --k 4 -o model.safetensors

      certgen train --k 5 --d-vocab 64 --seeds 0-9 -o models

      certgen train --k 4 --seeds 0,3,7 -o "max-of-4-{seed}.safetensors"

      certgen train --k 3 --d-vocab 12 --layers 2 --heads 2 --mlp 16 --norm LN -o model.safetensors

      certgen train --task sum-mod --modulus 7 --d-vocab 10 --format "BOS n SEP n ANS" -o model.safetensors
    """
    from rich.console import Console
    from rich.progress import Progress, TextColumn
    from rich.table import Table

    from certgen.models.exercises import exercise
    from certgen.models.model_file import save_model
    from certgen.models.training import ACTIVATIONS, NORMALIZATIONS, Recipe, train
    from certgen.progress import watched

    if act is not None and mlp is None:
        raise UserError("--act is given without --mlp", "add the width of the MLP, for example --mlp 64")
    if seed is not None and seeds is not None:
        raise UserError("--seed and --seeds are both given", "put all of them into --seeds, for example --seeds 0-9")
    chosen = parse_seeds(seeds) if seeds is not None else [123 if seed is None else seed]
    recipe = Recipe(
        exercise(task, d_vocab, k, layout, {"n": n, "modulus": modulus, "token": token}),
        d_model,
        d_head or max(32 // heads, 1),
        steps,
        batch_size,
        heads,
        layers,
        d_mlp=mlp or 0,
        activation=ACTIVATIONS[act or "relu"] if mlp else "none",
        normalization=NORMALIZATIONS[norm],
    )
    paths = model_paths(output, recipe.title, chosen)
    problems = [] if recipe.is_default else [beside(path, "problem") for path in paths]
    check_outputs([*paths, *problems], regular=True)

    progress = Progress(
        *Progress.get_default_columns(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        console=Console(stderr=True),
        disable=not watched(),
    )
    with progress:
        bar = progress.add_task(f"training {recipe.exercise.title}", total=steps, loss=float("nan"))
        trained = train(recipe, chosen, lambda step, loss: progress.update(bar, completed=step, loss=loss), threads)

    table = Table("seed", "loss", "sampled accuracy", "standard error")
    table.add_column("file", overflow="fold")  # a path that is cut short cannot be copied
    for model, path in zip(trained, paths, strict=True):
        save_model(path, model.tensors, recipe.architecture)
        table.add_row(
            str(model.seed),
            f"{model.loss:.5f}",
            f"{model.accuracy:.5f}",
            f"{model.standard_error:.5f}",
            printable(str(path)),
        )
    show(table)
    say(f"Loss and accuracy are over {trained[0].sample_size:,} random inputs per seed.")
    for path in problems:
        write_atomically(path, recipe.exercise.problem.to_bytes())
    if problems:
        first, problem, certificate = map(as_argument, (paths[0], problems[0], beside(paths[0], "cert")))
        command = ["certgen", "prove", first, "--problem", problem, "-o", certificate]
        say(f"Prove it with: {shlex.join(command)}")


@app.command("import")
def import_(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A .pth, .pt, .ckpt, .bin, .safetensors or .npz file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The model file to write.")],
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, metavar="K", show_default=False, help="How many positions to keep: the first K."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default=False, help="Settings of the model as JSON or YAML, to be checked as well."
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="An .npz with x and logits of your own forward pass, to agree with.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            show_default=False,
            help="How tensors are named and laid out; without it, the recipe that fits is found.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            show_default=False,
            help="What the checkpoint does not say: heads, mask, activation, eps, ...; repeatable.",
        ),
    ] = None,
) -> None:
    """Turn a checkpoint into a model file.

    Refused, by name, is everything that the theory does not cover.

    A recipe says how a program names and lays out its tensors.  There are
    recipes for TransformerLens, the grokking transformer, nanoGPT, GPT-2,
    torch.nn.TransformerEncoder, torch.nn.MultiheadAttention, models with one
    module a head, verified-circuits, and .npz files of W_E, W_pos, W_Q, ...;
    docs/recipes.md says how to write one.  Settings that are stored beside the
    weights are used and checked; missing biases are zero.

    A checkpoint does not record everything: what had to be assumed is printed,
    and --set overrules it: heads=4, mask=full or causal, attn_scale=1 or
    sqrt(d_head), activation=relu, silu, gelu_tanh or gelu_erf,
    normalization=LN or LNPre, norms=pre or post, eps=1e-5, pool=none, sum or
    mean.  Samples of your own forward pass, tokens x [n, k] and logits
    [n, d_vocab_out], tell whether the assumptions are right.

    Examples:

      certgen import max-of-4.pth -o model.safetensors

      certgen import encoder.pt -o model.safetensors --set heads=4 --set norms=pre

      certgen import weights.npz -o model.safetensors --k 4 --config config.json --compare samples.npz
    """
    from certgen.models import comparing
    from certgen.models.importing import import_checkpoint
    from certgen.models.model_file import load_model, save_model

    own_recipe = Path(recipe) if recipe is not None and recipe.endswith(".toml") else None
    check_outputs([output], [checkpoint, config, compare, own_recipe], regular=True)
    imported = import_checkpoint(checkpoint, k, config, recipe, options or [])
    notes = list(imported.notes)
    if compare is not None:
        agreement = comparing.compare(imported.model, compare)
        notes.append(
            f"agrees with {compare} on {agreement.samples:,} samples: largest difference {agreement.largest:.2g}, "
            f"allowed {agreement.tolerance:.2g}"
        )
    save_model(output, imported.tensors, imported.architecture)
    model = load_model(output)
    what, sizes = model.architecture.brief, dict(model.sizes)
    if model.is_default:
        what = f"max-of-{sizes.pop('n_ctx')}"
    say(f"{output}: {what}, {', '.join(f'{name}={size}' for name, size in sizes.items())}, sha256:{model.sha256}")
    for note in notes:
        say(note)


@app.command()
def logits(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file.")],
    tokens: Annotated[list[int], typer.Argument(metavar="TOKEN", help="The input, a token for each position.")],
    problem: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="What the model is asked, as JSON; else max-of-K."),
    ] = None,
    position: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="P", show_default=False, help="The position of the logits, from 0; the last unless given."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, with the logits in the order of tokens.")
    ] = False,
) -> None:
    """Print the model's logits for one input.

    The largest come first, in float64.  They are those of the function that a certificate is about: compare them
    with what your own program computes.

    With a problem they are those at the position where it reads the answer,
    and the right answer is marked; without one, at the last position.

    Examples:

      certgen logits model.safetensors 3 14 15 9

      certgen logits model.safetensors 3 14 15 9 --problem problem.json

      certgen logits model.safetensors 10 3 11 7 12 --position 4
    """
    import json

    import numpy as np
    from rich.table import Table

    from certgen.models import forward
    from certgen.models.model_file import load_model
    from certgen.problem import load_problem

    loaded = load_model(model)
    task = None if problem is None else load_problem(problem).bound_to(loaded)
    if task is not None and position is not None:
        raise UserError("--problem and --position are both given", "the problem says where the answer is read")
    if task is not None and len(tokens) != task.k:
        raise UserError(f"{len(tokens)} tokens given, and the problem has {task.k} positions", f"give {task.k} tokens")
    if position is not None and loaded.architecture.pool != "none":
        raise UserError(f"{model} pools over positions, and --position is given", "leave it out")
    row = forward.logits(loaded, [tokens], position if task is None else task.readout)[0]
    if as_json:
        say(json.dumps({"sequence": tokens, "logits": row.tolist()}))
        return
    right, mark = (max(tokens), "the largest token") if loaded.is_default else (-1, "")
    if task is not None:
        right, mark = int(task.labels(np.array([tokens]))[0]), "the right answer"
    table = Table("token" if loaded.is_default else "output", "logit", "")
    for token in (-row).argsort(kind="stable").tolist():
        table.add_row(str(token), f"{row[token]:.6f}", mark if token == right else "")
    show(table)


@app.command()
def strategies(
    names: Annotated[bool, typer.Option("--names", help="Only the names, one a line.")] = False,
) -> None:
    """List the strategies of `certgen prove` with their cost.

    The classes are the rows of Table 1 of the paper (arXiv 2406.11779); v is
    d_vocab, d is d_model, k the sequence length.  The names of the sub-cubic
    family are sub-cubic/EUPU/ATTENTION/ERROR: how the direct path, the logits
    of wrong tokens, and the error of the scores are bounded.
    """
    from certgen.strategies import STRATEGIES
    from certgen.strategies.listing import listing

    if names:
        for name in STRATEGIES:
            say(name)
    else:
        show(*listing())


@app.command()
def prove(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The model file, a .safetensors written by train or import.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The certificate; gzipped if it ends in .gz.")
    ],
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            "-s",
            metavar="NAME",
            show_default=False,
            help="One of `certgen strategies`; adaptive, or brute-force for few inputs or many layers.",
        ),
    ] = None,
    problem: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="What the model is asked, as JSON; else max-of-K."),
    ] = None,
    margin: Annotated[
        str, typer.Option(metavar="X", help="Count an answer only if it wins by more than this, as 0 or 1/8.")
    ] = "0",
    margins: Annotated[
        str | None,
        typer.Option(
            metavar="X,X,...",
            show_default=False,
            help="Also count by other margins, as --margins=-2,-1,1/2,1,2,4, and bound the mean loss.",
        ),
    ] = None,
    semantics: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="float32-any-order: claim it of every float32 program, whatever it rounds on the way."
        ),
    ] = "exact-real",
    max_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default=False,
            help="Adaptive: the most operations that the check may take; see length.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="X", show_default=False, help="Adaptive: stop at this bound, such as 0.99.")
    ] = None,
    both: Annotated[bool, typer.Option("--both", help="Adaptive: prove an upper bound on the accuracy, too.")] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", show_default=False, help="What the search may take, such as 8GB; the default takes 2GB."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default=False, help="Processes that share a long search; one per core."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Brute-force: where a long search runs, here or on a dask cluster.")
    ] = Engine.joblib,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="With --engine dask: its address, as tcp://host:8786.")
    ] = None,
) -> None:
    """Prove a lower bound on a model's accuracy.

    The certificate is a claim until check-cert has verified it.  The default
    strategy, adaptive, counts the sequences in which a wrong token may win,
    last token by last token and answer by answer, the finer the more that
    wins.  With --target or --max-length it starts with its shortest proof and
    makes it longer where that wins most sequences, until one of them is met.

    That is for max-of-K by one layer with one head.  For any other task, several
    heads or an MLP it settles all inputs of an answer at once, counts those in
    which a wrong output may win, and splits further where that loses most.

    With several layers, and where inputs are few, brute-force evaluates each
    input.  A long search keeps what is done in CERT.partial, until the
    certificate is written: after Ctrl-C, or a kill, the same command resumes.
    With dask, workers have to see that directory under the same path.

    With --margins the same is proved at each of them, and below the lowest at -4,
    -8, -16 and so on, until every input is correct.  How many inputs win by how
    much bounds the mean cross entropy: the closer, the more margins there are,
    up to one that few inputs reach.  It takes as long as all these proofs.

    With --semantics float32-any-order the claim is about every program that
    computes the model in float32, in any order of summation, and not about real
    numbers.  The strategy brute-force does it for every model, others for one
    attention layer, with an MLP or without, and no LayerNorm.

    What a search takes is known from sizes, and refused before it begins if it
    is more than --memory.  Without a strategy, a large vocabulary gets a
    simpler one that fits.  --jobs share the work of adaptive and two-sided for
    max-of-K by one head, as far as memory allows, and that of brute-force for
    anything else; the certificate is the same.

    Examples:

      certgen prove model.safetensors -o model.cert.json

      certgen prove model.safetensors --target 0.99 -o model.cert.json

      certgen prove model.safetensors --strategy exact -o model.cert.json

      certgen prove model.safetensors --problem problem.json -o p.cert.json

      check-cert model.safetensors model.cert.json
    """
    from fractions import Fraction

    from certgen.certificate.proof import budget_options
    from certgen.certificate.statement import FLOAT32
    from certgen.counts.work import about
    from certgen.decimals import at_least, at_most
    from certgen.models.model_file import load_model
    from certgen.problem import load_problem
    from certgen.processes import cores
    from certgen.progress import bar
    from certgen.proving import (
        ask,
        default_strategy,
        prove,
        read_margin,
        read_semantics,
        require_default,
        why_brute_force,
    )
    from certgen.strategies.memory import SHARED
    from certgen.sweep.engines import choose
    from certgen.sweep.pieces import search_for

    check_outputs([output], [model, problem])
    loaded, asked = load_model(model), None if problem is None else load_problem(problem)
    question, float32 = ask(loaded, asked, read_margin(margin)), read_semantics(semantics) == FLOAT32
    default = default_strategy(question, demanding=target is not None, float32=float32)
    if strategy is None and default == "brute-force":
        require_default(question, float32)
        why = why_brute_force(question, float32)
        say(f"{why}: {about(question.task.number)} inputs are evaluated", output)
    chosen = choose(engine.value, jobs, scheduler)
    shared = question.is_classic and strategy in (None, *SHARED)  # by processes that need no engine
    wanted = (jobs is not None and not shared) or scheduler is not None or engine is Engine.dask
    search = search_for(question, output, chosen, wanted)
    certificate = prove(
        loaded,
        strategy,
        problem=asked,
        margin=margin,
        margins=[] if margins is None else margins.split(","),
        semantics=semantics,
        max_length=max_length,
        target=target,
        both=both,
        memory=memory,
        jobs=jobs or cores(),
        track=bar,
        search=search,
        tell=lambda line: say(line, output),
    )
    size = certificate.save(output)
    claim = certificate.predicate.claim
    bound = at_least(claim.accuracy, 5)
    relation = "=" if claim.exact else ">="
    loss = f", mean loss <= {at_most(Fraction(claim.mean_loss), 5)}" if claim.mean_loss else ""
    most = f" and <= {claim.total - claim.wrong}/{claim.total}" if claim.wrong and not claim.exact else ""
    say(f"{output}: accuracy {relation} {claim.correct}/{claim.total} ({bound}){most}{loss}, {size:,} bytes", output)
    options = budget_options(certificate, loaded, size, packed=output.suffix == ".gz")
    say(f"Verify it with: {shlex.join(['check-cert', *options, as_argument(model), as_argument(output)])}", output)


@app.command()
def sweep(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL", help="Model files, or directories of them.")],
    strategies: Annotated[
        list[str],
        typer.Option(
            "--strategies", "-s", metavar="GLOB", help="A glob over `certgen strategies`, quoted; repeatable."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="RESULTS", help="The results directory; resumed if it exists.")
    ],
    problem: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="What the models are asked, as JSON; else max-of-K."),
    ] = None,
    margin: Annotated[
        str, typer.Option(metavar="X", help="Count an answer only if it wins by more than this, as 0 or 1/8.")
    ] = "0",
    semantics: Annotated[
        str, typer.Option(metavar="NAME", help="float32-any-order: prove it of every float32 program.")
    ] = "exact-real",
    length: Annotated[
        bool, typer.Option("--length/--no-length", help="Measure proof length, which takes six to eight checks.")
    ] = True,
    retry_errors: Annotated[bool, typer.Option(help="Do jobs again that ended in an error.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes on this machine; by default one per core.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Where jobs run: this machine, or a dask cluster.")] = Engine.joblib,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="With --engine dask: its address, as tcp://host:8786.")
    ] = None,
) -> None:
    """Prove and check every model with every strategy, and measure.

    RESULTS gets certificates/ and results.parquet, one row per certificate.
    Each certificate is checked by a check-cert process of its own, and its
    bound is what that process has verified.  A job that fails is a row with
    its error; all of these are listed at the end, and the exit code is 1.

    After Ctrl-C, or a kill, the same command resumes.

    A strategy that is not for a model and the problem is passed over.

    Examples:

      certgen sweep models -s cubic -s "sub-cubic/*/upper-envelope/*" -o results

      certgen sweep models -s "*" -o out --engine dask --scheduler tcp://h:8786

    With dask, workers have to see the models and RESULTS under the same paths.
    """
    from certgen.files import in_unicode
    from certgen.sweep import sweep
    from certgen.sweep.display import SweepProgress
    from certgen.sweep.engines import choose

    chosen = choose(engine.value, jobs, scheduler)
    with SweepProgress() as display:
        done = sweep(
            models,
            strategies,
            output,
            problem=problem,
            margin=margin,
            semantics=semantics,
            length=length,
            retry_errors=retry_errors,
            engine=chosen,
            display=display,
        )
    total = "1 job" if done.jobs == 1 else f"{done.jobs} jobs"
    table = in_unicode(str(output / done.table.name))
    say(f"{table}: {total}, {done.resumed} done before, {done.errors} with an error")
    for failure in done.failures:
        say(f"{in_unicode(failure.model)}: {failure.strategy}: {failure.message}")
    if done.failures:
        raise typer.Exit(1)


@app.command()
def wrong(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file.")],
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="The most inputs to list; those wrong by most come first.")
    ] = 20,
    margin: Annotated[
        str, typer.Option(metavar="X", help="Count an answer as right only if it wins by more than this.")
    ] = "0",
    problem: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default=False, help="What the model is asked, as JSON; else max-of-K."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per input.")] = False,
) -> None:
    """List inputs that the model provably gets wrong.

    Each is shown with the wrong token, and how far that is ahead.  For max-of-K
    by one layer with one head, this works at every length: sequences are not
    tried one by one, but built from the tokens that help a wrong token most.

    For other models and problems every input is evaluated, or a sample of them
    if they are too many.

    Examples:

      certgen wrong model.safetensors --limit 10

      certgen wrong model.safetensors --problem problem.json
    """
    import json

    from rich.table import Table

    from certgen.counts.work import about
    from certgen.counts.wrong import wrong_sequences
    from certgen.counts.wrong_inputs import wrong_inputs
    from certgen.models.circuits import Circuits
    from certgen.progress import bar
    from certgen.proving import ask, read_margin

    question = ask(model, problem, read_margin(margin))
    if not question.is_classic:
        found, seen = wrong_inputs(question, limit, bar)
        if as_json:
            for one in found:
                say(json.dumps({"input": one.tokens, "label": one.label, "output": one.output, "ahead": one.ahead}))
            return
        table = Table("input", "label", "wrong output", "ahead by")
        for one in found:
            table.add_row(" ".join(map(str, one.tokens)), str(one.label), str(one.output), f"{one.ahead:.6g}")
        looked = "every input was" if seen == question.task.number else f"a random sample of {about(seen)} inputs was"
        show(table if found else "No input was found that the model gets wrong.")
        say(f"{question.task.text}: {looked} looked at.")
        return
    rows = wrong_sequences(Circuits(question.model, question.margin), limit, bar)
    if as_json:
        for row in rows:
            say(json.dumps({"sequence": row.sequence, "maximum": row.m, "rival": row.rival, "ahead": row.ahead}))
        return
    table = Table("sequence", "maximum", "wrong token", "logit ahead by")
    for row in rows:
        table.add_row(" ".join(map(str, row.sequence)), str(row.m), str(row.rival), f"{row.ahead:.6g}")
    show(table if rows else "No sequence was found that the model gets wrong.")


@app.command()
def explain(
    certificate: Annotated[Path, typer.Argument(metavar="CERT", help="A certificate, .cert.json or .cert.json.gz.")],
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="The model file: a proof about regions says where heads look.")
    ] = None,
) -> None:
    """Tell the proof in a certificate, step by step.

    Its claim, each step, and which inputs it leaves open.  A proof about
    regions also says how far wrong outputs stay behind, and what heads and
    neurons do.

    This restates what the certificate says.  Only check-cert says whether it holds.
    """
    from certgen.certificate.explain import explain
    from certgen.certificate.statement import Certificate
    from certgen.models.model_file import load_model

    show(explain(Certificate.load(certificate), None if model is None else load_model(model)))


@app.command()
def length(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file.")],
    certificates: Annotated[list[Path], typer.Argument(metavar="CERT", help="Certificates about it.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per certificate.")] = False,
) -> None:
    """Measure proof length.

    Runs the very checker on integers that count their operations.

    The unit is one operation on 64-bit words.  Numbers read from the model and
    the certificate count as well.
    """
    import json

    from certgen.length import proof_length

    for path in certificates:
        measured = proof_length(model, path)
        parts = {"model": measured.model, "certificate": measured.certificate, "derivation": measured.derivation}
        if as_json:
            say(json.dumps({"file": str(path), "length": measured.total, **parts}))
        else:
            detail = ", ".join(f"{name} {count:,}" for name, count in parts.items())
            say(f"{path}: {measured.total:,} operations ({detail})")


@app.command("error-table")
def error_table(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per row.")] = False,
) -> None:
    """Show how errors compound in bounds on the scores.

    One residual of the scores is bounded at falling cost.

    Every number is certain: derived by the checker's rule where one is named,
    by exact integer arithmetic otherwise.  The last column is what the paper
    (arXiv 2406.11779) reports for its model.
    """
    import dataclasses
    import json
    from fractions import Fraction

    from rich.table import Table

    from certgen.decimals import at_most
    from certgen.measures.error_table import error_table
    from certgen.models.circuits import Circuits
    from certgen.models.model_file import load_model

    rows = error_table(Circuits(load_model(model), Fraction(0)))
    if as_json:
        for row in rows:
            say(json.dumps(dataclasses.asdict(row)))
        return
    table = Table("bound on the spread of a row", "value", "cost")
    table.add_column("derived by", overflow="fold")  # a rule's name that is cut short cannot be looked up
    table.add_column("paper")
    for row in rows:
        table.add_row(row.name, at_most(row.bound, 3), row.cost, row.rule or "exact arithmetic", row.paper)
    show(table)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A directory written by `certgen sweep`.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The model to look into; else the first one found.")
    ] = None,
) -> None:
    """Write the results of a sweep as one page.

    Tables and figures, readable offline and without the paper.

    Each figure is also written as PNG and SVG into a directory beside the
    page, if there is a Chromium or Chrome to draw them.

    Example:

      certgen report results -o report.html
    """
    from certgen.report import require_extra

    require_extra()
    from certgen.progress import bar
    from certgen.report.writing import write_report

    written = write_report(results, output, model, bar)
    say(f"{output}: {written.summary}, {written.size:,} bytes", output)
    if isinstance(written.images, Path):
        say(f"{written.images}: its figures as PNG and SVG", output)
    else:
        say(f"{written.images.message}; {written.images.hint}", output)


@app.command()
def demo(
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="Another model than the shipped one.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIRECTORY", help="Directory for the certificates.")
    ] = Path("out/demo"),
) -> None:
    """Prove and check a shipped model by three strategies.

    One is from the paper, one is the default, and one is exact.
    """
    from certgen.demo import SHIPPED, demo

    demo(model or SHIPPED, output)
