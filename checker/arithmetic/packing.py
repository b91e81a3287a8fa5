"""Many small numbers side by side in one big integer, and sets as bit masks."""

from collections.abc import Iterator


def members(mask: int) -> Iterator[int]:
    """The elements of a bit mask, smallest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def concatenate(items: list[int], span: int) -> int:
    """Items side by side, the first one lowest; each fits in `span` bits. Linear in the result, times a log."""
    while len(items) > 1:
        padded = items + [0] * (len(items) % 2)
        items = [low | (high << span) for low, high in zip(padded[::2], padded[1::2], strict=True)]
        span *= 2
    return items[0]


def repeat(item: int, count: int, span: int) -> int:
    """`count` copies of an item of at most `span` bits side by side."""
    copies = 1
    while copies < count:
        item |= item << (copies * span)
        copies *= 2
    return item & ((1 << (count * span)) - 1)


def side_by_side(items: list[int], span: int) -> int:
    """The sum of items[j] * 2^(span j), each of either sign and below half of 2^span."""
    half = 1 << (span - 1)
    return concatenate([item + half for item in items], span) - half * repeat(1, len(items), span)


def blocks_with_bits(number: int, count: int, span: int) -> int:
    """How many of the `count` blocks of `span` bits are not zero."""
    if number == 0 or count == 1:
        return int(number != 0)
    half = count // 2
    low = number & ((1 << (half * span)) - 1)
    return blocks_with_bits(low, half, span) + blocks_with_bits(number >> (half * span), count - half, span)


def split(number: int, count: int, span: int) -> list[int]:
    """The `count` blocks of `span` bits, lowest first: what was packed side by side. Linear, times a log."""
    if count > 8:
        half = count // 2
        low = number & ((1 << (half * span)) - 1)
        return split(low, half, span) + split(number >> (half * span), count - half, span)
    mask = (1 << span) - 1
    return [(number >> (index * span)) & mask for index in range(count)]
