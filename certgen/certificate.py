"""The certificate as pydantic models: the shape of format version 1. The JSON Schema is generated from them."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from certgen.errors import UserError
from certgen.files import has_digest, read_bytes, write_atomically

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Exponent = Annotated[int, Field(ge=-(1 << 14), le=1 << 14)]
Bits = Annotated[int, Field(ge=8, le=4096)]


class Shape(BaseModel):
    """Exactly the declared fields, of exactly the declared types."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, json_schema_serialization_defaults_required=True
    )


class NoArgs(Shape):
    pass


class ExponentArgs(Shape):
    """The margin is rounded up to a multiple of 2^exponent, or finer."""

    exponent: Exponent


class WeightArgs(Shape):
    """Attention weights keep `bits` bits of a query's largest."""

    bits: Bits


class LaneArgs(WeightArgs):
    """Logit differences are rounded up to multiples of 2^exponent."""

    exponent: Exponent


class BranchArgs(LaneArgs):
    """queries[m] is a set of queries q <= m as a bit mask."""

    queries: list[Natural]


class Group(Shape):
    """A maximum m; classes of wrong tokens, blocks of queries and pools of positions as bit masks.

    Losses are rounded down to multiples of budget / steps.
    """

    m: Natural
    steps: Annotated[int, Field(ge=1, le=1 << 16)]
    classes: list[Natural]
    blocks: list[Natural]
    pools: list[Natural]


class GroupArgs(LaneArgs):
    """What is counted together."""

    groups: list[Group]


class UpperTable(Shape):
    """Upper bounds rows[i][j] * 2^exponent."""

    exponent: Exponent
    rows: list[list[int]]


Matrix = Annotated[list[Annotated[list[int], Field(min_length=1)]], Field(min_length=1)]


class Peel(Shape):
    """The projector onto @ along, both in units of 2^exponent."""

    onto: Matrix
    along: Matrix
    exponent: Exponent


class PeelArgs(Shape):
    """One projector, or four: what is taken off the factors of the scores."""

    peels: list[Peel]


class ProductArgs(PeelArgs):
    """A projector to measure each product in (or none); whether the mean row is treated apart."""

    bases: list[Peel]
    means: Annotated[int, Field(ge=0, le=1)]


class RecursiveArgs(PeelArgs):
    """At how many factors the mean row is treated apart."""

    means: Annotated[int, Field(ge=0, le=3)]


class SingularArgs(PeelArgs):
    """A bound sigma on the largest singular value and the witness for it; sigma in units of 2^exponent."""

    sigma: Natural
    exponent: Exponent
    ridge: Natural
    ridge_exponent: Exponent
    witness: Matrix


class GapArgs(WeightArgs):
    """gaps[m][q][n], 0 for a cell left out."""

    gaps: list[list[list[Natural]]]


class CentreArgs(Shape):
    """One row over d_model."""

    centre: UpperTable


class CentresArgs(Shape):
    """rows[m][n] * 2^exponent: an attention around which wrong logits are compared."""

    centres: UpperTable


class DirectSpread(Shape):
    """Centre (no row or one), and the spread of the rest of the direct path per query."""

    centre: UpperTable
    spread: UpperTable


class TokenPath(Shape):
    """Spread per query; slope, intercept, slope, ... per m, or per m and n."""

    spread: UpperTable
    lines: UpperTable


class Scores(Shape):
    """Kept scores [q][t] and the error per query, times sqrt(d_head), in units of 2^exponent."""

    exponent: Exponent
    kept: list[list[int]]
    error: list[int]


class Ranges(Shape):
    """ranges[m][q][n] = [gap, low, high] in units of 2^-bits, or []."""

    bits: Bits
    ranges: list[list[list[list[int]]]]


class TokenMasks(Shape):
    """masks[m][q][n-1]: accepted tokens as a bit mask."""

    masks: list[list[list[Natural]]]


class Counts(Shape):
    """[m, queries, ns, correct, wrong]: bit masks of queries and of n, and the sequences decided there."""

    counts: list[Annotated[list[Natural], Field(min_length=5, max_length=5)]]


class Decided(Shape):
    """At least so many correct sequences, and at least so many wrong ones."""

    correct: Natural
    wrong: Natural


class Step(Shape):
    """One inference; `premises` are numbers of earlier steps."""

    premises: list[Natural]


class DirectPathUpper(Step):
    rule: Literal["direct_path_upper"] = "direct_path_upper"
    args: ExponentArgs
    conclusion: UpperTable


class ValuePathUpper(Step):
    rule: Literal["value_path_upper"] = "value_path_upper"
    args: NoArgs
    conclusion: UpperTable


class PureSequences(Step):
    rule: Literal["pure_sequences"] = "pure_sequences"
    args: LaneArgs
    conclusion: Counts


class CubicTokens(Step):
    rule: Literal["cubic_tokens"] = "cubic_tokens"
    args: WeightArgs
    conclusion: TokenMasks


class CountCubic(Step):
    rule: Literal["count_cubic"] = "count_cubic"
    args: NoArgs
    conclusion: Counts


class EnumerateSequences(Step):
    rule: Literal["enumerate_sequences"] = "enumerate_sequences"
    args: LaneArgs
    conclusion: Counts


class DirectPathSpread(Step):
    rule: Literal["direct_path_spread"] = "direct_path_spread"
    args: NoArgs
    conclusion: DirectSpread


class DirectPathCentredSpread(Step):
    rule: Literal["direct_path_centred_spread"] = "direct_path_centred_spread"
    args: CentreArgs
    conclusion: DirectSpread


class ValuePathSpread(Step):
    rule: Literal["value_path_spread"] = "value_path_spread"
    args: NoArgs
    conclusion: UpperTable


class MaxTokenDrop(Step):
    rule: Literal["max_token_drop"] = "max_token_drop"
    args: NoArgs
    conclusion: TokenPath


class MaxTokenMean(Step):
    rule: Literal["max_token_mean"] = "max_token_mean"
    args: CentresArgs
    conclusion: TokenPath


class MaxTokenEnvelope(Step):
    rule: Literal["max_token_envelope"] = "max_token_envelope"
    args: NoArgs
    conclusion: TokenPath


class ScoreExact(Step):
    rule: Literal["score_exact"] = "score_exact"
    args: NoArgs
    conclusion: Scores


class ScoreResidualSpread(Step):
    rule: Literal["score_residual_spread"] = "score_residual_spread"
    args: PeelArgs
    conclusion: Scores


class ScoreProductSpread(Step):
    rule: Literal["score_product_spread"] = "score_product_spread"
    args: ProductArgs
    conclusion: Scores


class ScoreRecursiveSpread(Step):
    rule: Literal["score_recursive_spread"] = "score_recursive_spread"
    args: RecursiveArgs
    conclusion: Scores


class ScoreSingularValue(Step):
    rule: Literal["score_singular_value"] = "score_singular_value"
    args: SingularArgs
    conclusion: Scores


class AttentionRanges(Step):
    rule: Literal["attention_ranges"] = "attention_ranges"
    args: GapArgs
    conclusion: Ranges


class GapCells(Step):
    rule: Literal["gap_cells"] = "gap_cells"
    args: NoArgs
    conclusion: Counts


class SeparableCounts(Step):
    rule: Literal["separable_counts"] = "separable_counts"
    args: GroupArgs
    conclusion: Counts


class BranchSequences(Step):
    rule: Literal["branch_sequences"] = "branch_sequences"
    args: BranchArgs
    conclusion: Counts


class Total(Step):
    rule: Literal["total"] = "total"
    args: NoArgs
    conclusion: Decided


AnyStep = Annotated[
    DirectPathUpper
    | ValuePathUpper
    | PureSequences
    | CubicTokens
    | CountCubic
    | EnumerateSequences
    | DirectPathSpread
    | DirectPathCentredSpread
    | ValuePathSpread
    | MaxTokenDrop
    | MaxTokenMean
    | MaxTokenEnvelope
    | ScoreExact
    | ScoreResidualSpread
    | ScoreProductSpread
    | ScoreRecursiveSpread
    | ScoreSingularValue
    | AttentionRanges
    | GapCells
    | SeparableCounts
    | BranchSequences
    | Total,
    Field(discriminator="rule"),
]


class Task(Shape):
    name: Literal["max-of-k"] = "max-of-k"
    k: Positive


class ModelInfo(Shape):
    """Sizes, and the SHA-256 of each tensor's bytes by tensor name."""

    d_vocab: Positive
    d_model: Positive
    d_head: Positive
    n_ctx: Positive
    tensors: dict[str, Digest]


class Claim(Decided):
    """Of all `total` = d_vocab^k sequences."""

    total: Positive


class Predicate(Shape):
    formatVersion: Literal[1] = 1
    task: Task
    model: ModelInfo
    semantics: Literal["exact-real"] = "exact-real"
    margin: Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,999})(/[1-9][0-9]{0,999})?$")]
    claim: Claim
    strategy: str
    steps: list[AnyStep]


class Sha256(Shape):
    sha256: Digest


class Subject(Shape):
    name: str
    digest: Sha256


class Certificate(Shape):
    """An in-toto Statement v1 about one model file."""

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")] = (
        "https://in-toto.io/Statement/v1"
    )
    subject: Annotated[list[Subject], Field(min_length=1, max_length=1)]
    predicateType: Literal["urn:compact-proofs:accuracy-certificate:v1"] = "urn:compact-proofs:accuracy-certificate:v1"
    predicate: Predicate

    def to_bytes(self) -> bytes:
        """Compact JSON, one step a line."""
        statement: dict[str, Any] = self.model_dump(by_alias=True)
        steps = statement["predicate"].pop("steps")
        order = ("rule", "premises", "args", "conclusion")
        lines = ",\n".join(json.dumps({key: step[key] for key in order}, separators=(",", ":")) for step in steps)
        head = json.dumps(statement, indent=1).removesuffix("\n }\n}")
        return f'{head},\n  "steps": [\n{lines}\n  ]\n }}\n}}\n'.encode()

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the certificate, gzipped if the name ends in .gz; returns the size of the file in bytes.

        The write is atomic, and the same certificate always gives the same bytes. Raises UserError if it is impossible,
        or would replace the model that the certificate is about.
        """
        if has_digest(path, self.subject[0].digest.sha256):
            raise UserError(f"{path} holds the model that this certificate is about", "choose another path")
        data = self.to_bytes()
        if str(path).endswith(".gz"):
            data = gzip.compress(data, mtime=0)  # the same certificate is the same file
        write_atomically(path, data)
        return len(data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a certificate, gzipped or not. This checks its shape only; check-cert checks what it says.

        Raises UserError if the file cannot be read or has another shape.
        """
        data = read_bytes(path)
        try:
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            return cls.model_validate(json.loads(data))
        except (ValidationError, ValueError, RecursionError, EOFError, OSError, zlib.error) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise UserError(
                f"{path} is not a version 1 certificate: {reason}", "check-cert says exactly where"
            ) from None


def json_schema() -> str:
    """schemas/certificate-v1.schema.json, as text."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Certificate.model_json_schema(by_alias=True, mode="serialization"),
    }
    return json.dumps(schema, indent=2) + "\n"
