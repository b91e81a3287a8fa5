"""Proof length: the work of checking, counted by running the very checker on integers that count their operations.

The unit is an operation on 64-bit limbs: add, subtract, compare, shift and mask cost the limbs of the longer operand,
a product the product of the limb counts, a quotient the limbs of quotient times divisor, and every number read from the
model or the certificate its limbs. Control flow and hashing are free.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from certgen.bulk_builtins import bulk_builtins
from certgen.counting_integers import counting, limbs
from certgen.errors import UserError
from certgen.files import read_input
from checker import Refusal
from checker.certificate import decode_certificate
from checker.kernel import verify
from checker.model.weights import read_weights

UNLIMITED = 1 << 62


class Meter:
    """The running total of one measurement, and the type of the integers that add to it."""

    def __init__(self) -> None:
        self.kind = counting()
        self.integer, self.spend, self.spent = self.kind

    @property
    def length(self) -> int:
        """Operations so far."""
        return self.spent()

    def read(self, text: str | int) -> int:
        """A number that enters the check."""
        number = self.integer(text)
        self.spend(limbs(number))
        return number


@dataclass(frozen=True)
class ProofLength:
    """Operations to read the model, to read the certificate, and to derive and compare its steps."""

    model: int
    certificate: int
    derivation: int

    @property
    def total(self) -> int:
        return self.model + self.certificate + self.derivation


def reading_length(model: bytes) -> int:
    """Operations to read the weights alone, which every proof about the model takes; Refusal of a damaged file."""
    meter = Meter()
    read_weights(model, meter.read)
    return meter.length


def proof_length(model: str | Path, certificate: str | Path) -> ProofLength:
    """Check the certificate while counting; UserError if it does not verify. Six to eight times as slow as checking."""
    return length_of(read_input(model), read_input(certificate))


def length_of(model: bytes, certificate: bytes) -> ProofLength:
    """The same of files in memory."""
    meter = Meter()
    marks = [0]
    try:
        weights = read_weights(model, meter.read)
        marks.append(meter.length)
        decoded = decode_certificate(certificate, meter.read)
        marks.append(meter.length)
        with bulk_builtins(meter.kind):
            verify(decoded, weights, UNLIMITED)
    except Refusal as refusal:
        raise UserError(
            f"only a proof has a length; this one is refused: {refusal}", "run check-cert for details"
        ) from None
    marks.append(meter.length)
    return ProofLength(*(after - before for before, after in pairwise(marks)))
