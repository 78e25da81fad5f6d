"""Writes an NBIRTH and an NDATA of edge node Plant1/Line4, as payload files, into a directory."""

import pathlib
import struct
import sys
import time


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A varint, a length-delimited field (bytes), or a float."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


now = int(time.time() * 1000)


def metric(name, datatype, number, value):
    return field(2, field(1, name) + field(3, now) + field(4, datatype) + field(number, value))


def payload(seq, *metrics):
    return field(1, now) + b"".join(metrics) + field(3, seq)


out = pathlib.Path(sys.argv[1])
birth = payload(
    0,
    metric(b"bdSeq", 4, 11, 0),
    metric(b"Node Control/Rebirth", 11, 14, 0),
    metric(b"Temperature/Oil", 9, 12, 61.5),
    metric(b"Recipe/Name", 12, 15, b"secret sauce"),
)
(out / "nbirth").write_bytes(birth)
(out / "ndata").write_bytes(payload(1, metric(b"Temperature/Oil", 9, 12, 62.5)))
