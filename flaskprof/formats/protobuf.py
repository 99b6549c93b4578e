"""The little of protobuf's wire format that profiles need, written and read.

See https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator

from flaskprof.errors import BadProfile

__all__ = ["fields", "message", "number", "numbers", "read_varint", "signed", "tag", "varint"]

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_64_BITS = 2**64 - 1

_SMALL = [bytes((value,)) for value in range(0x80)]


def varint(value: int) -> bytes:
    """Spell an integer of up to 64 bits; negative ones as their two's complement."""
    if 0 <= value < len(_SMALL):
        return _SMALL[value]
    value &= _64_BITS
    spelt = bytearray()
    while value > 0x7F:
        spelt.append(value & 0x7F | 0x80)
        value >>= 7
    spelt.append(value)
    return bytes(spelt)


def tag(of: int) -> bytes:
    """Return what stands before the length and the bytes of the field with this number."""
    return varint(of << 3 | _BYTES)


def message(of: int, body: bytes) -> bytes:
    """Spell a field that holds a message, a text or packed numbers."""
    return tag(of) + varint(len(body)) + body


def number(of: int, value: int) -> bytes:
    """Spell a field that holds an integer."""
    return varint(of << 3 | _VARINT) + varint(value)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the unsigned integer at a place, and the place behind it."""
    value = shift = 0
    while True:
        if at >= len(data):
            raise BadProfile("a number of the profile ends early")
        part = data[at]
        at += 1
        value |= (part & 0x7F) << shift
        if part < 0x80:
            return value & _64_BITS, at
        shift += 7
        if shift > 63:
            raise BadProfile("a number of the profile has more than 64 bits")


def signed(value: int) -> int:
    """Return a 64-bit integer with the sign that it was spelt with."""
    return value - 2**64 if value >= 2**63 else value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field of a message, but for those of fixed width."""
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = read_varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            length, at = read_varint(data, at)
        elif wire in (_FIXED_64, _FIXED_32):
            length = 8 if wire == _FIXED_64 else 4
        else:
            raise BadProfile(f"the profile has a field of the unknown kind {wire}")
        if length > end - at:
            raise BadProfile("a field of the profile ends early")
        if wire == _BYTES:
            yield key >> 3, data[at : at + length]
        at += length


def numbers(value: int | bytes) -> Iterator[int]:
    """Yield the integers of one occurrence of a repeated field, which may be packed."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        item, at = read_varint(value, at)
        yield item
