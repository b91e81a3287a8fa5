"""Section 2: a safetensors file as exact numbers."""

import hashlib
import struct
from fractions import Fraction
from math import isfinite, prod
from typing import Any, NamedTuple

from tests.second_verifier.architecture import axes_of, of_one_head, read_architecture
from tests.second_verifier.refusal import require
from tests.second_verifier.strict_json import integer, list_of, parse, record, text

# size in bytes, digits of the significand, exponent of the smallest subnormal number
DTYPES = {"F64": (8, 53, -1074), "F32": (4, 24, -149), "F16": (2, 11, -24), "BF16": (2, 8, -133)}
ENTRY = record(
    {"dtype": text, "shape": list_of(integer()), "data_offsets": list_of(integer())},
)


class ModelFile(NamedTuple):
    """What the file says. Tensors are nested lists of fractions; `units` are exponents e of 2^e."""

    digest: str
    digests: dict[str, str]
    tensors: dict[str, Any]
    units: dict[str, int]
    architecture: dict[str, Any]
    plain: bool  # no architecture in the file
    extents: dict[str, int]

    @property
    def sizes(self) -> dict[str, int]:
        """As a certificate states them."""
        return {name: n for name, n in self.extents.items() if not self.plain or name != "n_heads"}

    @property
    def outputs(self) -> int:
        return len(self.tensors["unembed.b_U"])


def numbers(data: bytes, dtype: str) -> list[float]:
    """Little-endian. Python's floats hold them all."""
    if dtype == "BF16":
        data = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        dtype = "F32"
    code = {"F64": "d", "F32": "f", "F16": "e"}[dtype]
    return list(struct.unpack(f"<{len(data) // DTYPES[dtype][0]}{code}", data))


def unit_of(values: list[Fraction], dtype: str) -> int:
    """The exponent of the last place of the smallest number that is not 0."""
    _, digits, least = DTYPES[dtype]
    sizes = [abs(value) for value in values if value]
    if not sizes:
        return least
    smallest = min(sizes)
    log = smallest.numerator.bit_length() - smallest.denominator.bit_length()  # the denominator is a power of two
    return max(log - (digits - 1), least)


def nested(flat: list[Fraction], shape: list[int]) -> Any:
    if len(shape) == 1:
        return flat
    step = len(flat) // shape[0]
    return [nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def read_model(data: bytes) -> ModelFile:
    require(len(data) <= 1 << 28, "too-large")
    require(len(data) >= 8, "bad-safetensors")
    (length,) = struct.unpack("<Q", data[:8])
    require(length <= 1 << 20 and 8 + length <= len(data), "bad-safetensors")
    text_of_header, rest = data[8 : 8 + length], data[8 + length :]
    require(text_of_header.startswith(b"{"), "bad-safetensors")
    header = parse(text_of_header)
    metadata = header.pop("__metadata__", {})
    require(isinstance(metadata, dict), "wrong-type", "__metadata__")
    for key, value in metadata.items():
        text(value, f"__metadata__.{key}")
    given = read_architecture(metadata["architecture"]) if "architecture" in metadata else None
    axes = axes_of(given)
    require(axes.keys() <= header.keys(), "missing-field", "tensors")
    require(header.keys() <= axes.keys(), "unknown-field", "tensors")
    extents: dict[str, int] = {"n_heads": given["heads"] if given else 1}
    for name, names in axes.items():
        entry = ENTRY(header[name], name)
        require(entry["dtype"] in DTYPES, "unsupported-dtype", name)
        require(len(entry["shape"]) == len(names) and all(n > 0 for n in entry["shape"]), "bad-shape", name)
        for axis, extent in zip(names, entry["shape"], strict=True):
            require(extents.setdefault(axis, extent) == extent, "bad-shape", name)
        require(len(entry["data_offsets"]) == 2, "bad-offsets", name)
    end = 0
    for name in sorted(axes, key=lambda name: header[name]["data_offsets"]):
        first, last = header[name]["data_offsets"]
        size = DTYPES[header[name]["dtype"]][0] * prod(header[name]["shape"])
        require(first == end and last == first + size, "bad-offsets", name)
        end = last
    require(end == len(rest), "bad-offsets")
    tensors, units, digests = {}, {}, {}
    for name in axes:
        entry = header[name]
        part = rest[slice(*entry["data_offsets"])]
        values = numbers(part, entry["dtype"])
        require(all(map(isfinite, values)), "not-finite", name)
        exact = [Fraction(value) for value in values]
        tensors[name] = nested(exact, entry["shape"])
        units[name] = unit_of(exact, entry["dtype"])
        digests[name] = hashlib.sha256(part).hexdigest()
    if not any("n_heads" in names for names in axes.values()):
        del extents["n_heads"]  # no axis of the file
    digest = hashlib.sha256(data).hexdigest()
    architecture = given or of_one_head(extents["d_head"])
    return ModelFile(digest, digests, tensors, units, architecture, given is None, extents)
