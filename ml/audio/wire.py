"""Messages between a reader and its decoding child. Standard library only.

A message is four bytes (little endian: length of the JSON), the JSON, and `payload_bytes`
raw bytes as the JSON says. Paths travel as JSON strings; file names that are no UTF-8 keep
their bytes as lone surrogates.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_HEAD = struct.Struct("<I")
HEAD_BYTES = _HEAD.size
#: A message beyond this is not one of ours.
MAX_JSON_BYTES = 1 << 20


def pack(values: dict[str, Any], payload_bytes: int = 0) -> bytes:
    """Return head and JSON of a message that `payload_bytes` raw bytes will follow."""
    text = json.dumps({**values, "payload_bytes": payload_bytes}).encode()
    return _HEAD.pack(len(text)) + text


def json_bytes(head: bytes) -> int:
    """Return the length of the JSON that follows a head."""
    length = int(_HEAD.unpack(head)[0])
    if length > MAX_JSON_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return length


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """Read a message without payload from a blocking stream; None at its end."""
    head = stream.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return None
    text = stream.read(json_bytes(head))
    values: dict[str, Any] = json.loads(text)
    return values


def write_message(stream: BinaryIO, values: dict[str, Any], payload: Any = b"") -> None:
    """Write a message and its payload (a contiguous buffer) to a blocking stream."""
    raw = memoryview(payload).cast("B")
    stream.write(pack(values, len(raw)))
    stream.write(raw)
    stream.flush()
