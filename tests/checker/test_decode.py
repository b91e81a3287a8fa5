"""Certificate bytes: exactly the format, and every way of being outside it is malformed, under its own code."""

import base64
import gzip
import json
import random
import re
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from checker import decode
from checker.certificate import Certificate, decode_certificate
from checker.decode import MAX_BYTES, MAX_DIGITS, decompress, fraction, load_json
from checker.errors import Malformed, Refusal, ResourceLimit
from checker.facts import Accuracy, CubicTokens, Float32Accuracy, Tally, UpperTable
from checker.rules import RULES
from tests.conftest import TESTS

CUBIC = TESTS / "certificates/accept/tiny--cubic.cert.json"
PLAIN = CUBIC.read_bytes()


def refusal(function: Callable[..., object], *arguments: object) -> Refusal:
    """What it raises, which must be malformed and nothing else."""
    with pytest.raises(Refusal) as caught:
        function(*arguments)
    assert type(caught.value) is Malformed
    assert caught.value.exit_code == 3
    return caught.value


def code(data: bytes) -> str:
    return refusal(decode_certificate, data).code


def json_code(text: str) -> str:
    return refusal(load_json, text.encode()).code


def changed(*path: str | int, value: object) -> bytes:
    statement = json.loads(PLAIN)
    target = statement
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return json.dumps(statement).encode()


def test_the_certificate_itself_is_decoded() -> None:
    certificate = decode_certificate(PLAIN)
    statement = json.loads(PLAIN)
    assert isinstance(certificate, Certificate)
    assert certificate.claim.correct == statement["predicate"]["claim"]["correct"]
    assert certificate.claim.wrong == statement["predicate"]["claim"]["wrong"]
    assert [step.rule for step in certificate.steps] == [step["rule"] for step in statement["predicate"]["steps"]]
    assert decode_certificate(gzip.compress(PLAIN)) == certificate


# JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": 1, "b": {"c": 1, "c": 2}}',
        '[{"a": 1, "a": 1}]',
        '{"a": 1, "\\u0061": 2}',
        '{"": 1, "": 2}',
        '{"a": {"b": 1}, "a": {"b": 1}}',
    ],
)
def test_duplicate_keys(text: str) -> None:
    assert json_code(text) == "duplicate-key"


def test_equal_keys_in_different_objects_are_no_duplicates() -> None:
    assert load_json(b'[{"a": {"a": 1}}, {"a": 2}]') == [{"a": {"a": 1}}, {"a": 2}]


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e3", "1E3", "1.0", "0.0", "-0.0", "1e-400", "1.5", "0e0"],
)
def test_floats_are_refused(number: str) -> None:
    assert json_code(number) == "not-an-integer"
    assert json_code(f'{{"a": [{number}]}}') == "not-an-integer"


@pytest.mark.parametrize(
    "text",
    [
        *("1_000", "+1", "01", "00", "0x10", "1.", ".5", "1e", "--1", "- 1", "1 2", "１", "²", "nan", "inf"),
        *("True", "None", "'a'", '{"a": 1,}', "[1,]", "[,1]", "{a: 1}", '{"a"}', "[1", '"', '"\t"', '"\\x"', "// c\n1"),
        *("", " ", "\x00", "1\x00", "[] []", "\ufeff[]", "\ufeff1"),
    ],
)
def test_texts_that_are_not_json(text: str) -> None:
    refused = refusal(load_json, text.encode())
    assert refused.code == "not-json"
    assert re.fullmatch("line [12] column [0-9]+ of the JSON text", refused.path)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"a": 1,\n "b": }', "line 2 column 7 of the JSON text"),
        (b"[]\n\n[]", "line 3 column 1 of the JSON text"),
        (b"", "line 1 column 1 of the JSON text"),
        (b'{"a": "\xe9"}', "byte 7 of the JSON text"),
        (b'["abc', "line 1 column 2 of the JSON text"),
    ],
)
def test_what_is_not_json_is_so_somewhere(data: bytes, path: str) -> None:
    """In the JSON text, which in a compressed certificate is not the file's."""
    assert refusal(load_json, data).path == path
    assert refusal(decode_certificate, gzip.compress(data)).path == path


# Characters


SURROGATES = ["\ud800", "\udbff", "\udc00", "\udfff", "x\ud800y", "\ud800\ud800", "\udc00\ud800", "\U0001f600\udc80"]


@pytest.mark.parametrize("text", SURROGATES, ids=ascii)
def test_lone_surrogates(text: str) -> None:
    """Escapes that are half a character: other readers of JSON refuse them or put something else in their place."""
    for value in ({"a": text}, {text: "a"}, [{"a": [{"b": text}]}], {"a": {"b": {text: 1}}}):
        assert json_code(json.dumps(value)) == "lone-surrogate"
    for path in (("subject", 0, "name"), ("predicate", "strategy"), ("predicate", text), (text,)):
        assert code(changed(*path, value=text)) == "lone-surrogate"
    assert refusal(decode_certificate, changed("subject", 0, "name", value=text)).got == ""


def test_escapes_that_are_characters() -> None:
    """Pairs of escapes, and backslashes that are none."""
    texts = ["\U0001f600", "\U0010ffff", "\ufffd\ue000\ud7ff", "\\ud800", "\\\\ud800", "\0\x1b", "é"]
    assert load_json(json.dumps({text: text for text in texts}).encode()) == {text: text for text in texts}
    assert decode_certificate(changed("subject", 0, "name", value="\U0001f600 \\ud800")) == decode_certificate(PLAIN)


@pytest.mark.parametrize(
    "data", [b"\xff", b'"\xe9"', b'"\xc0\x80"', b'"\xed\xa0\x80"', "[]".encode("utf-16"), b"[]\xff"]
)
def test_bytes_that_are_not_utf_8(data: bytes) -> None:
    assert refusal(load_json, data).code == "not-json"


@pytest.mark.parametrize("depth", [1_100, 100_000, 1_000_000])
def test_deep_nesting(depth: int) -> None:
    assert json_code("[" * depth) == "not-json"
    assert json_code("[" * depth + "]" * depth) == "not-json"
    deep = '{"a":' * depth + "1" + "}" * depth
    if depth < 10**6:
        assert json_code(deep) == "not-json"
    else:
        with pytest.raises(ResourceLimit, match="over-budget"):
            load_json(deep.encode())


def test_deep_nesting_inside_a_certificate() -> None:
    nested = b"[" * 100_000 + b"]" * 100_000
    assert code(PLAIN.replace(b'"steps": [', b'"steps": [' + nested + b",", 1)) == "not-json"
    # shallow enough for the parser, and then no table of integers
    shallow: Any = 1
    for _ in range(200):
        shallow = [shallow]
    assert code(changed("predicate", "steps", 0, "conclusion", "rows", value=shallow)) == "wrong-type"


@pytest.mark.parametrize("sign", ["", "-"])
def test_numbers_have_at_most_4000_characters(sign: str) -> None:
    most = sign + "9" * (MAX_DIGITS - len(sign))
    assert load_json(most.encode()) == int(most)
    for digits in (MAX_DIGITS + 1, 4_300, 4_301, 5_000, 1_000_000):
        assert json_code(sign + "9" * (digits - len(sign))) == "bad-number"
        assert json_code(f"[0, {sign + '9' * (digits - len(sign))}]") == "bad-number"


def test_minus_zero() -> None:
    assert json_code("-0") == "bad-number"
    assert json_code("[-0]") == "bad-number"
    assert load_json(b"[0, -10]") == [0, -10]


@settings(max_examples=50)
@given(
    st.recursive(
        st.integers() | st.booleans() | st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_other_json_is_read_as_it_is(value: object) -> None:
    assert load_json(json.dumps(value).encode()) == value
    assert load_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


# gzip


def test_a_gzip_bomb_is_refused() -> None:
    """A quarter of a gigabyte of spaces in about a megabyte."""
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b" " * (1 << 20)) for _ in range((MAX_BYTES >> 20) + 1)) + packer.flush()
    assert len(bomb) < 1 << 21
    with pytest.raises(ResourceLimit, match="over-budget"):
        decompress(bomb)
    assert refusal(lambda data: decompress(data, 1 << 40), bomb).code == "too-large"


def test_the_size_limit_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_BYTES", 1000)
    assert decompress(bytes(1000)) == decompress(gzip.compress(bytes(1000))) == bytes(1000)
    assert refusal(decompress, bytes(1001)).code == "too-large"
    assert refusal(decompress, gzip.compress(bytes(1001))).code == "too-large"
    assert refusal(decompress, gzip.compress(bytes(1000)) + b"\0").code == "bad-gzip"


@pytest.mark.parametrize("text", ["[]", "[1,2,[3]]", '{"a":{"b":[]}}', '{"ä":[0,0]}'])
def test_a_text_takes_at_most_half_the_memory(text: str) -> None:
    """By its brackets and commas, and its characters, which take more if any is not of ASCII."""
    data = text.encode()
    room = 48 * text.count(",") + 160 * text.count("[") + 800 * text.count("{") + len(data) * (12 if "ä" in text else 3)
    assert load_json(data, memory=2 * room) == json.loads(text)
    with pytest.raises(ResourceLimit, match="a text"):
        load_json(data, memory=2 * room - 1)


def test_what_is_unpacked_takes_at_most_a_sixth_of_the_memory() -> None:
    for data in (bytes(100), gzip.compress(bytes(100)), gzip.compress(bytes(range(256)) * 400)):
        size = len(data) if data[:2] != b"\x1f\x8b" else len(gzip.decompress(data))
        assert len(decompress(data, 6 * size)) == size
        with pytest.raises(ResourceLimit, match="a text"):
            decompress(data, 6 * size - 1)


PACKED = gzip.compress(PLAIN, mtime=0)


@given(st.integers(2, len(PACKED) - 1))
def test_truncated_gzip(length: int) -> None:
    assert code(PACKED[:length]) == "bad-gzip"


def test_gzip_looks_back_as_far_as_it_may() -> None:
    """30,000 bytes."""
    block = random.Random(0).randbytes(30_000)
    assert decompress(gzip.compress(block * 2)) == block * 2


def test_truncation_below_the_magic_number() -> None:
    assert code(PACKED[:1]) == code(PACKED[:0]) == "not-json"


@pytest.mark.parametrize("garbage", [b"\0", b"\n", b"VERIFIED", bytes(1000), PACKED, PACKED[:5]])
def test_trailing_garbage_after_gzip(garbage: bytes) -> None:
    assert code(PACKED + garbage) == "bad-gzip"


@pytest.mark.parametrize("offset", [-1, -4, -5, -8])
def test_the_checksum_and_length_of_gzip_are_checked(offset: int) -> None:
    spoilt = bytearray(PACKED)
    spoilt[offset] ^= 1
    assert code(bytes(spoilt)) == "bad-gzip"


def test_gzip_within_gzip_is_not_unpacked_twice() -> None:
    assert code(gzip.compress(PACKED)) == "not-json"
    assert code(zlib.compress(PLAIN)) == "not-json"


# Truncation


@given(st.integers(0, len(PLAIN.rstrip()) - 1))
def test_truncated_json(length: int) -> None:
    assert code(PLAIN[:length]) == "not-json"


def test_something_after_the_certificate() -> None:
    for extra in (b"x", b"{}", b"\0", PLAIN):
        assert code(PLAIN + extra) == "not-json"
    assert decode_certificate(PLAIN + b" \n\t\r") == decode_certificate(PLAIN)


def test_byte_order_mark() -> None:
    assert code(b"\xef\xbb\xbf" + PLAIN) == "not-json"
    assert code(PLAIN.decode().encode("utf-16")) == "not-json"


# Typed values


def test_numbers_in_a_range() -> None:
    """Both ends belong to it."""
    decoder = decode.bounded(-1, 2)
    assert [decoder(value, "") for value in (-1, 0, 2)] == [-1, 0, 2]
    for value in (-2, 3):
        assert refusal(decoder, value, "p").code == "out-of-range"


def test_objects_with_these_fields() -> None:
    value = {"a": 1, "b": 2}
    assert decode.record(value, "", ("a", "b")) == decode.record(value, "", ("a",), ("b", "c")) == value
    assert refusal(decode.record, value, "p", ("a",), ("c",)).code == "unknown-field"
    assert refusal(decode.record, value, "p", ("c",), ("a", "b")).code == "missing-field"


def test_matrices_have_rows_of_one_length() -> None:
    assert decode.matrix([[1, 2], [3, 4]], "") == ((1, 2), (3, 4))
    others: list[object] = [[], [[]], [[], []], [[1], [2, 3]], [[1, 2], [3]]]
    for value in others:
        assert refusal(decode.matrix, value, "p").code == "not-a-matrix"
    assert refusal(decode.matrix, [[1], [2, True]], "p").path == "p[1][1]"


def test_constants_and_choices() -> None:
    """1 is not true."""
    decode.constant(1, "", 1)
    for value in (True, 2, "1"):
        assert refusal(decode.constant, value, "p", 1).code == "unsupported"
    assert decode.choice("a", "b")("b", "") == "b"
    assert refusal(decode.choice("a", "b"), "c", "p").code == "unsupported"


def test_fractions_with_a_sign() -> None:
    for text in ("-1/2", "1/2", "-7", "0"):
        assert Fraction(*decode.signed_fraction(text, "")) == Fraction(text)
    for text in ("-0", "--1", "+1", "-2/4", "-3/1"):
        assert refusal(decode.signed_fraction, text, "p").code == "bad-fraction"


@pytest.mark.parametrize("text", ["0", "1", "7", "1/8", "3/4", "4/3", "9" * 1000, f"1/{'9' * 1000}"])
def test_canonical_fractions(text: str) -> None:
    assert Fraction(*fraction(text, "")) == Fraction(text)


@pytest.mark.parametrize(
    "text",
    [
        *(" 3/4 ", "3/4 ", " 1", "3 / 4", "3/4\n", "1\n", "\t1", "1_000", "1_0/3", "1e3", "1E3", "0.5", ".5", "1."),
        *(
            "１",
            "１/２",
            "٣",
            "²",
            "½",
            "1⁄2",
            "1∕2",
            "2/4",
            "6/3",
            "3/1",
            "0/1",
            "0/5",
            "1/0",
            "0/0",
            "-1",
            "-1/2",
            "-0",
        ),
        *("1/-2", "+1", "01", "1/02", "00", "", "/", "1/", "/2", "1/2/3", "inf", "nan", "Infinity", "0x1", "1" * 1001),
        *("1/" + "1" * 1001, "1" * 5000, "1/" + "1" * 5000, "true", "VERIFIED"),
    ],
)
def test_other_fractions(text: str) -> None:
    assert refusal(fraction, text, "p").code == "bad-fraction"
    assert code(changed("predicate", "margin", value=text)) == "bad-fraction"


@given(st.text(max_size=8) | st.from_regex(r"[0-9_ ./e+\-]{1,6}", fullmatch=True))
def test_a_fraction_is_the_only_way_to_write_its_value(text: str) -> None:
    try:
        numerator, denominator = fraction(text, "")
    except Malformed:
        return
    value = Fraction(numerator, denominator)
    assert value >= 0 and (value.numerator, value.denominator) == (numerator, denominator)
    assert str(value) == text


@pytest.mark.parametrize("value", [0, 1, True, None, ["1"], {"p": 1}])
def test_a_margin_is_text(value: object) -> None:
    assert code(changed("predicate", "margin", value=value)) == "wrong-type"


INTEGERS: list[tuple[str | int, ...]] = [
    ("predicate", "task", "k"),
    ("predicate", "model", "d_vocab"),
    ("predicate", "model", "n_ctx"),
    ("predicate", "claim", "correct"),
    ("predicate", "claim", "wrong"),
    ("predicate", "claim", "total"),
    ("predicate", "steps", 0, "conclusion", "exponent"),
    ("predicate", "steps", 0, "conclusion", "rows", 0, 0),
    ("predicate", "steps", 2, "premises", 0),
    ("predicate", "steps", 2, "args", "bits"),
    ("predicate", "steps", 2, "conclusion", "masks", 4, 4, 0),
    ("predicate", "steps", 3, "conclusion", "counts", 0, 3),
    ("predicate", "steps", 3, "conclusion", "counts", 0, 4),
    ("predicate", "steps", 5, "conclusion", "correct"),
    ("predicate", "steps", 5, "conclusion", "wrong"),
]


@pytest.mark.parametrize("path", INTEGERS, ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize(
    "value", [True, False, None, "1", "1_000", " 3/4 ", "1e3", "１", [], {}, [1]], ids=lambda value: repr(value)
)
def test_an_integer_is_an_integer(path: tuple[str | int, ...], value: object) -> None:
    refused = refusal(decode_certificate, changed(*path, value=value))
    assert refused.code == "wrong-type"
    known = path[:2] if path[:2] == ("predicate", "model") else path  # names of sizes are the file's: not echoed
    assert refused.path == "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in known)[1:]


def objects(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The paths of all objects in a JSON value."""
    if isinstance(value, dict):
        return [path, *(found for key, item in value.items() for found in objects(item, (*path, key)))]
    if isinstance(value, list):
        return [found for index, item in enumerate(value) for found in objects(item, (*path, index))]
    return []


# what sizes and tensors a model has is its own affair: the kernel compares them with the model file
OPEN = [("predicate", "model"), ("predicate", "model", "tensors")]
LEVELS = [path for path in objects(json.loads(PLAIN)) if path not in OPEN]


@pytest.mark.parametrize("level", LEVELS, ids=lambda path: ".".join(map(str, path)) or "top")
def test_fields_are_exact_at_every_level(level: tuple[str | int, ...]) -> None:
    fields = json.loads(PLAIN)
    for key in level:
        fields = fields[key]
    for extra in ("comment", "VERIFIED", "", "__class__", "Correct", " correct"):
        assert code(changed(*level, extra, value=1)) == "unknown-field"
    for field in fields:
        statement = json.loads(PLAIN)
        target = statement
        for key in level:
            target = target[key]
        del target[field]
        assert code(json.dumps(statement).encode()) == "missing-field"
        # a misspelt field is missing, too
        target[field.upper() if field != field.upper() else field.lower()] = 1
        assert code(json.dumps(statement).encode()) == "missing-field"
    values: tuple[object, ...] = (None, [], 1, "text")
    for value in values:
        if level:
            assert code(changed(*level, value=value)) in ("wrong-type", "unsupported")
        else:
            assert code(json.dumps(value).encode()) == "wrong-type"


@pytest.mark.parametrize("version", [0, 2, 10**100, -1, True, False, "1", "VERIFIED", None, [1], {"major": 1}])
def test_other_versions(version: object) -> None:
    assert code(changed("predicate", "formatVersion", value=version)) == "unsupported-version"


def test_a_newer_certificate_is_refused_for_its_version() -> None:
    """Not for a field, a rule or a shape that the newer version brought."""
    statement = json.loads(PLAIN)
    statement["predicate"]["formatVersion"] = 2
    statement["predicate"]["novelty"] = {"a": [1]}
    assert code(json.dumps(statement).encode()) == "unsupported-version"
    del statement["predicate"]["margin"]
    statement["predicate"]["steps"] = [{"rule": "novel_rule", "because": "of it"}]
    assert code(json.dumps(statement).encode()) == "unsupported-version"


@pytest.mark.parametrize("version", ["v0", "v2", "v10", "v1.1", "v1 ", "v"])
def test_other_versions_of_the_predicate_type(version: str) -> None:
    refused = refusal(
        decode_certificate, changed("predicateType", value=f"urn:compact-proofs:accuracy-certificate:{version}")
    )
    assert (refused.code, refused.path) == ("unsupported-version", "predicateType")


@pytest.mark.parametrize("value", ["urn:compact-proofs:other-certificate:v1", "https://slsa.dev/provenance/v1"])
def test_other_predicate_types(value: str) -> None:
    refused = refusal(decode_certificate, changed("predicateType", value=value))
    assert (refused.code, refused.path) == ("unsupported", "predicateType")


def test_an_envelope_is_called_one() -> None:
    """Even a certificate may not have its fields: a reader could take either for the content."""
    payload = base64.b64encode(PLAIN).decode()
    envelope = {"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": [{"sig": ""}]}
    inside = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope}
    least = {"payload": payload, "signatures": []}
    for value in (envelope, inside, least, {**envelope, "comment": 1}, {**json.loads(PLAIN), **envelope}):
        refused = refusal(decode_certificate, json.dumps(value).encode())
        assert (refused.code, refused.path, refused.got) == ("signed-envelope", "", "")
        assert "DSSE envelope" in refused.expected and "payload" in refused.expected
    assert code(json.dumps({"payload": payload}).encode()) == "missing-field"


@pytest.mark.parametrize("field", ["_type", "predicateType"])
@pytest.mark.parametrize("value", ["", "VERIFIED", None, 1, [], "https://in-toto.io/Statement/v2"])
def test_other_kinds_of_statement(field: str, value: object) -> None:
    assert code(changed(field, value=value)) == "unsupported"


def test_a_statement_is_about_one_model() -> None:
    """A reader that looks at the first of two, or at the last, would take the claim for one about either."""
    (subject,) = json.loads(PLAIN)["subject"]
    for subjects in ([], [subject, subject], [subject, {"name": "another", "digest": {"sha256": "0" * 64}}]):
        refused = refusal(decode_certificate, changed("subject", value=subjects))
        assert (refused.code, refused.path, refused.got) == ("unsupported", "subject", str(len(subjects)))


@pytest.mark.parametrize("path", [("subject", 0, "name"), ("predicate", "strategy")], ids=["name", "strategy"])
def test_names_are_text(path: tuple[str | int, ...]) -> None:
    """Nothing hangs on them, and no object hides there."""
    others: list[object] = [None, 1, [], {"name": "a model"}]
    for value in others:
        assert code(changed(*path, value=value)) == "wrong-type"


def test_the_kind_of_claim_is_that_of_the_semantics() -> None:
    assert type(decode_certificate(PLAIN).claim) is Accuracy
    in_float32 = changed("predicate", "semantics", value="float32-any-order")
    assert type(decode_certificate(in_float32).claim) is Float32Accuracy


@pytest.mark.parametrize("value", ["float32", "float32-any-order ", "EXACT-REAL", "exact-real ", ""])
def test_other_semantics(value: object) -> None:
    assert code(changed("predicate", "semantics", value=value)) == "unsupported"


@pytest.mark.parametrize("value", [None, 0, []])
def test_semantics_is_text(value: object) -> None:
    assert code(changed("predicate", "semantics", value=value)) == "wrong-type"


@pytest.mark.parametrize(
    "rule", ["", "VERIFIED", "total ", "Total", "__init__", "rule", "checker.rules.total", "x" * 9999]
)
def test_unknown_rules(rule: str) -> None:
    refused = refusal(decode_certificate, changed("predicate", "steps", 1, "rule", value=rule))
    assert (refused.code, refused.path, refused.got) == ("unknown-rule", "predicate.steps[1].rule", "")
    assert all(name in refused.expected for name in RULES)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 64 + "\n", "０" * 64, "sha256:" + "0" * 64])
def test_digests(digest: str) -> None:
    assert code(changed("subject", 0, "digest", "sha256", value=digest)) == "bad-digest"
    assert code(changed("predicate", "model", "tensors", "embed.W_E", value=digest)) == "bad-digest"


@pytest.mark.parametrize("rule", RULES)
def test_arguments_are_in_range(rule: str) -> None:
    """Every argument of every rule refuses absurd sizes, which would be a bomb, and true."""
    for name, decoder in RULES[rule].args.items():
        for value in (10**400, -(10**400)):
            assert refusal(decoder, value, name).code in ("out-of-range", "wrong-type")
        for other in (True, "1", None):
            assert refusal(decoder, other, name).code == "wrong-type"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (UpperTable, {"exponent": (1 << 14) + 1, "rows": [[0]]}),
        (UpperTable, {"exponent": -(1 << 14) - 1, "rows": [[0]]}),
    ],
)
def test_exponents_of_tables_are_in_range(kind: Any, value: object) -> None:
    assert refusal(kind.decode, value, "").code == "out-of-range"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (UpperTable, {"exponent": 0, "rows": [0]}),
        (UpperTable, {"exponent": 0, "rows": [[[0]]]}),
        (UpperTable, {"exponent": 0, "rows": {"0": [0]}}),
        (CubicTokens, {"masks": [[0]]}),
        (CubicTokens, {"masks": [[[[0]]]]}),
        (CubicTokens, {"masks": "0"}),
        (Tally, {"counts": [0]}),
        (Tally, {"counts": [[0, 1, 1, 1, True]]}),
        (Tally, {"counts": None}),
        (Accuracy, {"correct": "1", "wrong": 0}),
        (Accuracy, {"correct": 1, "wrong": [1]}),
    ],
)
def test_tables_of_other_depth(kind: Any, value: object) -> None:
    assert refusal(kind.decode, value, "").code == "wrong-type"


@pytest.mark.parametrize("count", [[], [0], [0, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1, 0, 0]])
def test_a_count_has_five_numbers(count: list[int]) -> None:
    """A row of another length is outside the format: malformed, not a proof that fails."""
    with pytest.raises(Refusal) as caught:
        Tally.decode({"counts": [[0, 1, 1, 1, 0], count]}, "conclusion")
    assert (caught.value.exit_code, caught.value.path) == (3, "conclusion.counts[1]")


@given(st.data())
def test_a_changed_byte_never_surprises(data: st.DataObject) -> None:
    """Decoded or malformed: no other exception, whatever the bytes."""
    position = data.draw(st.integers(0, len(PLAIN) - 1))
    replacement = data.draw(st.binary(max_size=3))
    spoilt = PLAIN[:position] + replacement + PLAIN[position + 1 :]
    assume(spoilt != PLAIN)
    try:
        certificate = decode_certificate(spoilt)
    except Malformed as refused:
        assert refused.code
        return
    assert isinstance(certificate, Certificate)
