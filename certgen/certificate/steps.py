"""Steps of a proof. `RULES` declares each rule once: the shape of its steps, the schema and the words of `explain`
come from here; what it means is the checker's rule of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import Field, create_model

from certgen.certificate.arguments import (
    BranchArgs,
    CentreArgs,
    CentresArgs,
    EvaluateArgs,
    ExponentArgs,
    GapArgs,
    GroupArgs,
    HintArgs,
    LaneArgs,
    LossArgs,
    NoArgs,
    PeelArgs,
    ProductArgs,
    RecursiveArgs,
    RegionArgs,
    SingularArgs,
    WeightArgs,
)
from certgen.certificate.facts import (
    Accuracy,
    AttentionRanges,
    CubicTokens,
    DirectPathSpread,
    DirectPathUpper,
    Float32Accuracy,
    MaxTokenPath,
    Profile,
    RegionGaps,
    Regions,
    ScoreApproximation,
    Tally,
    ValuePathSpread,
    ValuePathUpper,
)
from certgen.certificate.shapes import Natural, Shape, SignedFraction
from certgen.problem.shapes import Partial


class Rule(NamedTuple):
    """The arguments of a rule, what it concludes, and that conclusion in a few words."""

    args: type[Shape]
    concludes: type[Shape]
    meaning: str


RULES = {
    "direct_path_upper": Rule(
        ExponentArgs,
        DirectPathUpper,
        "how far the query token itself can favour a wrong token over m (EUPU, plus the margin)",
    ),
    "value_path_upper": Rule(
        NoArgs,
        ValuePathUpper,
        "how far attending to a token can favour a wrong token over m (EVOU + PVOU, worst position)",
    ),
    "pure_sequences": Rule(LaneArgs, Tally, "the sequences m, ..., m, q, each evaluated"),
    "cubic_tokens": Rule(
        WeightArgs,
        CubicTokens,
        "tokens that leave m ahead when n positions hold them and the others m: for each (q, m, n)",
    ),
    "count_cubic": Rule(NoArgs, Tally, "sequences whose other tokens are all accepted: |T|^n C(k-1, n) in each cell"),
    "direct_path_spread": Rule(
        NoArgs,
        DirectPathSpread,
        "how far the query token can favour any logit over any other: the exact spread of EUPU[q]",
    ),
    "direct_path_centred_spread": Rule(
        CentreArgs, DirectPathSpread, "one vector is kept; how far the rest of that path spreads, factor by factor"
    ),
    "value_path_spread": Rule(
        NoArgs, ValuePathSpread, "how far attending to tokens up to t can favour any logit over any other (EVOU)"
    ),
    "max_token_drop": Rule(
        NoArgs, MaxTokenPath, "wrong logits against the attention on m: largest slope with largest intercept"
    ),
    "max_token_mean": Rule(
        CentresArgs,
        MaxTokenPath,
        "wrong logits against the attention on m: exact at a centre, extreme slopes beside it",
    ),
    "max_token_envelope": Rule(
        NoArgs, MaxTokenPath, "wrong logits against the attention on m: the upper envelope of their lines"
    ),
    "score_exact": Rule(NoArgs, ScoreApproximation, "all scores, no error"),
    "score_residual_spread": Rule(
        PeelArgs, ScoreApproximation, "scores of low rank; the residual multiplied out for its spread"
    ),
    "score_product_spread": Rule(
        ProductArgs, ScoreApproximation, "scores of low rank; the residual's spread from two factors"
    ),
    "score_recursive_spread": Rule(
        RecursiveArgs, ScoreApproximation, "scores of low rank; the residual's spread factor by factor"
    ),
    "score_singular_value": Rule(
        SingularArgs, ScoreApproximation, "scores of low rank; the residual's largest singular value"
    ),
    "attention_ranges": Rule(
        GapArgs, AttentionRanges, "attention on m when every other token is at least a gap below it"
    ),
    "gap_cells": Rule(NoArgs, Tally, "cells (q, m, n) in which m wins whatever the tokens a gap below it are"),
    "separable_counts": Rule(
        GroupArgs, Tally, "sequences left after counting those that some class of wrong tokens can win, block by block"
    ),
    "branch_sequences": Rule(BranchArgs, Tally, "sequences decided in bundles that share a prefix"),
    "enumerate_sequences": Rule(LaneArgs, Tally, "every sequence evaluated"),
    "regions": Rule(RegionArgs, Regions, "inputs of one query and label, and how far what enters neurons ranges there"),
    "region_gaps": Rule(HintArgs, RegionGaps, "how far the wrong outputs stay behind the label in each region"),
    "region_counts": Rule(HintArgs, Tally, "whole regions, less the inputs counted as reaching the label"),
    "evaluate_inputs": Rule(EvaluateArgs, Tally, "every input evaluated, with what rounding can have changed"),
    "total": Rule(NoArgs, Accuracy, "all regions together; no input is in two of them"),
    "float32_any_order": Rule(
        NoArgs, Float32Accuracy, "what is decided by more than float32 arithmetic may change in any order of summation"
    ),
    "float32_inputs": Rule(
        EvaluateArgs, Float32Accuracy, "every input evaluated, with what float32 programs may compute instead"
    ),
    "expected_loss": Rule(LossArgs, Profile, "the mean cross entropy, from the accuracies at several margins"),
}

Fact = TypeVar("Fact", bound=Shape)


class Step(Partial, Generic[Fact]):
    """One inference; `premises` are numbers of earlier steps. Without a margin it is at that of the claim."""

    rule: str
    margin: SignedFraction | None = None
    premises: list[Natural]
    args: Any
    conclusion: Fact


def step_of(name: str, rule: Rule) -> type[Step[Any]]:
    """The shape of the steps of one rule."""
    fields: dict[str, Any] = {
        "rule": (Literal[name], ...),
        "args": (rule.args, ...),
        "conclusion": (rule.concludes, ...),
    }
    return create_model(name, __base__=Step, **fields)


STEPS = {name: step_of(name, rule) for name, rule in RULES.items()}
if TYPE_CHECKING:
    AnyStep = Step[Any]
else:
    AnyStep = Annotated[reduce(or_, STEPS.values()), Field(discriminator="rule")]


def infer(rule: str, conclusion: Fact, args: Shape | None = None, premises: Sequence[int] = ()) -> Step[Fact]:
    """A step by the rule of this name. Raises pydantic's ValidationError if the parts do not fit the rule."""
    return STEPS[rule](rule=rule, premises=list(premises), args=args or NoArgs(), conclusion=conclusion)
