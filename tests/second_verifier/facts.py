"""Section 4: the kinds of facts, their form, and when a derived one entails a stated one.

A fact is the JSON of a certificate. A derived one may have fractions in place of integers, and None in place of a bound
that anything bounds.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from tests.second_verifier.refusal import require
from tests.second_verifier.strict_json import Json, Reader, fraction, integer, list_of, record, tuple_of

exponent, bits, natural = integer(-16384, 16384), integer(8, 4096), integer(0)
integers = list_of(integer())
table = record({"exponent": exponent, "rows": list_of(integers)})


class Kind(NamedTuple):
    """read(value, path); entails(derived, stated, path) returns or refuses."""

    read: Reader
    entails: Callable[[Any, Json, str], None]


def rows_of(given: Any) -> list[list[Fraction]]:
    """A table as numbers."""
    unit = Fraction(2) ** given["exponent"]
    return [[x * unit for x in row] for row in given["rows"]]


def same_lengths(derived: Any, stated: Any, path: str, depth: int) -> None:
    """Of lists within lists."""
    require(len(derived) == len(stated), "wrong-shape", path)
    if depth > 1:
        for index, (one, other) in enumerate(zip(derived, stated, strict=True)):
            same_lengths(one, other, f"{path}[{index}]", depth - 1)


def table_entails(derived: Any, stated: Json, path: str) -> None:
    """Every stated bound is at least the derived one."""
    same_lengths(derived["rows"], stated["rows"], f"{path}.rows", 2)
    for i, (bounds, given) in enumerate(zip(rows_of(derived), rows_of(stated), strict=True)):
        for j, (bound, number) in enumerate(zip(bounds, given, strict=True)):
            require(number >= bound, "bound-too-small", f"{path}.rows[{i}][{j}]")


def masks_entail(derived: Any, stated: Json, path: str) -> None:
    same_lengths(derived["masks"], stated["masks"], f"{path}.masks", 3)
    for m, rows in enumerate(derived["masks"]):
        for q, row in enumerate(rows):
            for n, accepted in enumerate(row):
                mask = stated["masks"][m][q][n]
                require(mask >= 0 and mask & ~accepted == 0, "token-not-accepted", f"{path}.masks[{m}][{q}][{n}]")


def tally_entails(derived: Any, stated: Json, path: str) -> None:
    same_lengths(derived["counts"], stated["counts"], f"{path}.counts", 1)
    for i, (own, given) in enumerate(zip(derived["counts"], stated["counts"], strict=True)):
        require(list(own[:3]) == given[:3], "wrong-region", f"{path}.counts[{i}]")
        for j in (3, 4):
            require(given[j] <= own[j], "count-too-large", f"{path}.counts[{i}][{j}]")


def accuracy_entails(derived: Any, stated: Json, path: str) -> None:
    for name in ("correct", "wrong"):
        require(stated[name] <= derived[name], "count-too-large", f"{path}.{name}")


def profile_entails(derived: Any, stated: Json, path: str) -> None:
    accuracy_entails(derived, stated, path)
    same_lengths(derived["profile"], stated["profile"], f"{path}.profile", 1)
    for i, (own, given) in enumerate(zip(derived["profile"], stated["profile"], strict=True)):
        require(own["margin"] == given["margin"], "wrong-margin", f"{path}.profile[{i}].margin")
        accuracy_entails(own, given, f"{path}.profile[{i}]")
    require(Fraction(stated["mean_loss"]) >= Fraction(derived["mean_loss"]), "loss-too-small", f"{path}.mean_loss")


def spread_entails(derived: Any, stated: Json, path: str) -> None:
    require(derived["centre"] == stated["centre"], "other-centre", f"{path}.centre")
    table_entails(derived["spread"], stated["spread"], f"{path}.spread")


def path_entails(derived: Any, stated: Json, path: str) -> None:
    table_entails(derived["spread"], stated["spread"], f"{path}.spread")
    table_entails(derived["lines"], stated["lines"], f"{path}.lines")


def scores_entail(derived: Any, stated: Json, path: str) -> None:
    """The derived error is error + root2 * sqrt(2)."""
    same_lengths(derived["kept"], stated["kept"], f"{path}.kept", 2)
    same_lengths(derived["error"], stated["error"], f"{path}.error", 1)
    ours, unit = Fraction(2) ** derived["exponent"], Fraction(2) ** stated["exponent"]
    for q, (own, given) in enumerate(zip(derived["kept"], stated["kept"], strict=True)):
        moved = [b * unit - a * ours for a, b in zip(own, given, strict=True)]
        left = stated["error"][q] * unit - derived["error"][q] * ours - (max(moved) - min(moved))
        fits = left >= 0 and left * left >= 2 * derived.get("root2", 0) ** 2
        require(fits, "error-too-small", f"{path}.error[{q}]")


def attention_entails(derived: Any, stated: Json, path: str) -> None:
    """Derived ranges are a gap and two tests: is a number at most the lower end, at least the upper one?"""
    require(derived["bits"] == stated["bits"], "wrong-unit", f"{path}.bits")
    same_lengths(derived["ranges"], stated["ranges"], f"{path}.ranges", 3)
    for m, rows in enumerate(derived["ranges"]):
        for q, row in enumerate(rows):
            for n, own in enumerate(row):
                given, at = stated["ranges"][m][q][n], f"{path}.ranges[{m}][{q}][{n}]"
                require(len(own) == len(given), "wrong-shape", at)
                if given:
                    require(own[0] == given[0], "range-too-narrow", at)
                    require(own[1](given[1]) and own[2](given[2]), "range-too-narrow", at)


def matrix(value: Json, path: str) -> Json:
    list_of(integers)(value, path)
    require(bool(value) and bool(value[0]) and all(len(row) == len(value[0]) for row in value), "not-a-matrix", path)
    return value


group = record(
    {
        "label": integer(),
        "queries": integer(),
        "rivals": integers,
        "symbols": integers,
        "next": matrix,
        "parts": integers,
    }
)
regions = record({"bits": bits, "groups": list_of(group), "ranges": list_of(integers)})
count = tuple_of(*[integer()] * 5)
profile_entry = record({"margin": fraction(signed=True), "correct": natural, "wrong": natural})
profile = record(
    {"correct": natural, "wrong": natural, "profile": list_of(profile_entry), "mean_loss": fraction(signed=False)}
)
accuracy = record({"correct": natural, "wrong": natural})


def decided_by_the_rule(derived: Any, stated: Json, path: str) -> None:
    """Regions and RegionGaps have bounds that are no fractions: their rules compare them."""
    derived(stated, path)


KINDS = {
    "DirectPathUpper": Kind(table, table_entails),
    "ValuePathUpper": Kind(table, table_entails),
    "CubicTokens": Kind(record({"masks": list_of(list_of(integers))}), masks_entail),
    "Tally": Kind(record({"counts": list_of(count)}), tally_entails),
    "Accuracy": Kind(accuracy, accuracy_entails),
    "Float32Accuracy": Kind(accuracy, accuracy_entails),
    "Profile": Kind(profile, profile_entails),
    "DirectPathSpread": Kind(record({"centre": table, "spread": table}), spread_entails),
    "ValuePathSpread": Kind(table, table_entails),
    "MaxTokenPath": Kind(record({"spread": table, "lines": table}), path_entails),
    "ScoreApproximation": Kind(
        record({"exponent": exponent, "kept": list_of(integers), "error": integers}), scores_entail
    ),
    "AttentionRanges": Kind(record({"bits": bits, "ranges": list_of(list_of(list_of(integers)))}), attention_entails),
    "Regions": Kind(regions, decided_by_the_rule),
    "RegionGaps": Kind(record({"regions": regions, "gaps": list_of(integers)}), decided_by_the_rule),
}
