"""Messages between a reader and its decoding child. Standard library only.

A message is four bytes (little endian: length of the JSON), the JSON, and as many raw bytes as
its `payload_bytes` states. Paths travel as JSON strings; bytes of file names that are not UTF-8
are kept as lone surrogates.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

_HEAD = struct.Struct("<I")
HEAD_BYTES = _HEAD.size
#: A longer message is not one of ours.
MAX_JSON_BYTES = 1 << 20


def pack(values: dict[str, Any], payload_bytes: int = 0) -> bytes:
    """Return head and JSON of a message.

    Parameters
    ----------
    values : JSON-able content.
    payload_bytes : number of raw bytes that will follow.

    Returns
    -------
    bytes

    Examples
    --------
    >>> pack({"do": "probe"})[HEAD_BYTES:]
    b'{"do": "probe", "payload_bytes": 0}'
    """
    text = json.dumps({**values, "payload_bytes": payload_bytes}).encode()
    return _HEAD.pack(len(text)) + text


def json_bytes(head: bytes) -> int:
    """Return the length of the JSON that follows a head.

    Parameters
    ----------
    head : the first `HEAD_BYTES` bytes of a message.

    Returns
    -------
    int

    Raises
    ------
    ValueError : the length exceeds `MAX_JSON_BYTES`.
    """
    length = int(_HEAD.unpack(head)[0])
    if length > MAX_JSON_BYTES:
        raise ValueError(f"a message of {length} bytes exceeds {MAX_JSON_BYTES}")
    return length


def read_message(stream: BinaryIO) -> dict[str, Any] | None:
    """Read a message without payload from a blocking stream.

    Parameters
    ----------
    stream : binary, open for reading.

    Returns
    -------
    dict of the JSON; None at the end of the stream.
    """
    head = stream.read(HEAD_BYTES)
    if len(head) < HEAD_BYTES:
        return None
    text = stream.read(json_bytes(head))
    values: dict[str, Any] = json.loads(text)
    return values


def write_message(stream: BinaryIO, values: dict[str, Any], payload: Any = b"") -> None:
    """Write a message and its payload to a blocking stream.

    Parameters
    ----------
    stream : binary, open for writing.
    values : JSON-able content.
    payload : a contiguous buffer.
    """
    raw = memoryview(payload).cast("B")
    stream.write(pack(values, len(raw)))
    stream.write(raw)
    stream.flush()
