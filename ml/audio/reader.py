"""Reading audio through a child process that can fail without consequences.

`AudioReader` keeps one child (`ml.audio.child`) and asks it for excerpts and probes. Whatever
a file does to the child (crash, endless loop, memory) becomes an `AudioError` with a reason,
and the next file gets a new child. This module imports no decoder.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np

from ml.audio import wire
from ml.audio.shared_memory import SampleBuffer
from ml.audio.types import PEAK_COLUMNS, DecodeLimits, Excerpt, Probe, excerpt_frames
from ml.errors import AudioError
from ml.types import FeatureConfig

logger = logging.getLogger(__name__)

AudioPath = str | os.PathLike[str]

_START_S = 60.0
_STOP_S = 2.0
_NOISE_BYTES = 2_000
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _ChildGone(Exception):
    """The child ended, or was ended, before it answered."""


class AudioReader:
    """Decodes files in a limited child process. A context manager, for one thread at a time.

    The child starts with the first file and never outlives this process.

    Parameters
    ----------
    limits : limits on files and on the cost of decoding.
    recycle_after : number of files after which a new child replaces the old one.

    Attributes
    ----------
    peak_rss_bytes : largest resident memory of the child, in bytes.
    """

    def __init__(self, limits: DecodeLimits | None = None, recycle_after: int = 200) -> None:
        self.limits = limits or DecodeLimits()
        self.peak_rss_bytes = 0
        self._recycle_after = recycle_after
        self._served = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer: SampleBuffer | None = None
        self._owner_pid = os.getpid()
        self._noise = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """Process id of the current child, None before the first file."""
        return self._child.pid if self._child else None

    def excerpt(
        self, path: AudioPath, config: FeatureConfig, is_borrowed: bool = False
    ) -> Excerpt:
        """Decode the middle `config.excerpt_s` of a file, or all of a shorter one.

        Parameters
        ----------
        path : the file.
        config : rate and length of the excerpt.
        is_borrowed : True saves a copy; the samples are then valid until the next call.

        Returns
        -------
        Excerpt : mono float32 samples at `config.sample_rate_hz`, and their place in the file.

        Raises
        ------
        AudioError : with the reason; its `kind` says whether the file is missing, cannot be
            read, or ended the child ("crashed", "timeout").
        """
        buffer = self._buffer_of(excerpt_frames(config))
        request = {"do": "excerpt", "path": os.fspath(path), "config": config.canonical()}
        values, _ = self._ask(request)
        samples = buffer.view(excerpt_frames(config))[: values["samples"]]
        return Excerpt(**{**values, "samples": samples if is_borrowed else samples.copy()})

    def probe(self, path: AudioPath) -> Probe:
        """Decode a file once in full: length, loudness, peaks, hash.

        Parameters
        ----------
        path : the file.

        Returns
        -------
        Probe

        Raises
        ------
        AudioError : as in `excerpt`.
        """
        values, raw = self._ask({"do": "probe", "path": os.fspath(path)})
        return Probe(**{**values, "peaks": raw.view(np.int8).reshape(PEAK_COLUMNS, 2)})

    def close(self) -> None:
        """End the child. The reader can be used again and then starts a new child."""
        self._forget_what_was_forked()
        self._stop_child()
        if self._buffer is not None:
            self._buffer.close()
            self._buffer = None

    def _stop_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        for stream in (child.stdin, child.stdout, child.stderr):
            if stream:
                with suppress(OSError):
                    stream.close()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
        child = self._ready_child()
        deadline = time.monotonic() + self.limits.wall_s
        try:
            _write(child, wire.pack(request))
            reply, payload = self._receive(child, deadline)
        except TimeoutError:
            self._abandon(child)
            raise AudioError(
                f"decoding took longer than {self.limits.wall_s:g} s and was stopped",
                kind="timeout",
            ) from None
        except _ChildGone:
            raise self._crash_of(child) from None
        self._served += 1
        self.peak_rss_bytes = reply["peak_rss_bytes"]
        if not reply["ok"]:
            raise AudioError(reply["reason"], kind=reply["kind"])
        return reply["values"], payload

    def _ready_child(self) -> subprocess.Popen[bytes]:
        """Return a living child of this process; start one if needed."""
        self._forget_what_was_forked()
        if self._child and (
            self._served >= self._recycle_after or self._child.poll() is not None
        ):
            self._stop_child()
        if self._child is None:
            self._child = self._started()
            self._served = 0
        return self._child

    def _forget_what_was_forked(self) -> None:
        """Drop child and buffer in a fork of the process that owns them."""
        if self._owner_pid != os.getpid():
            self._child, self._buffer, self._owner_pid = None, None, os.getpid()

    def _buffer_of(self, samples: int) -> SampleBuffer:
        """Return shared memory for so many samples."""
        self._forget_what_was_forked()
        if self._buffer is None:
            self._buffer = SampleBuffer.create()
        self._buffer.grow(samples)
        return self._buffer

    def _started(self) -> subprocess.Popen[bytes]:
        limits = json.dumps(asdict(self.limits))
        buffer = self._buffer_of(0)
        root = str(Path(__file__).resolve().parents[2])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        child = subprocess.Popen(
            [sys.executable, "-m", "ml.audio.child", limits, str(os.getpid()), str(buffer.fd)],
            pass_fds=[buffer.fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={
                **os.environ,
                **dict.fromkeys(_THREADS, "1"),
                "PYTHONPATH": os.pathsep.join(paths),
            },
        )
        for stream in (child.stdout, child.stderr):
            os.set_blocking(_fileno(stream), False)
        try:
            self._receive(child, time.monotonic() + _START_S)
        except (TimeoutError, _ChildGone):
            self._abandon(child)
            noise = self._noise.decode(errors="replace").strip()
            raise RuntimeError(f"the decoding process did not start: {noise}") from None
        return child

    def _receive(
        self, child: subprocess.Popen[bytes], deadline: float
    ) -> tuple[dict[str, Any], np.ndarray[Any, Any]]:
        """Read one message; the payload as uint8, in an array of its own."""
        head = _read(child, wire.HEAD_BYTES, deadline).tobytes()
        text = _read(child, wire.json_bytes(head), deadline).tobytes()
        reply: dict[str, Any] = json.loads(text)
        payload = _read(child, reply["payload_bytes"], deadline)
        self._drain_noise(child)
        return reply, payload

    def _drain_noise(self, child: subprocess.Popen[bytes]) -> None:
        """Keep the last of what libraries printed, so that the pipe never fills up."""
        with suppress(BlockingIOError, OSError):
            while chunk := os.read(_fileno(child.stderr), 1 << 16):
                self._noise = (self._noise + chunk)[-_NOISE_BYTES:]

    def _abandon(self, child: subprocess.Popen[bytes]) -> None:
        """Kill a child that no longer answers."""
        child.kill()
        child.wait()
        self._drain_noise(child)
        self._child = child
        self._stop_child()

    def _crash_of(self, child: subprocess.Popen[bytes]) -> AudioError:
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_S)
        code = child.poll()
        self._abandon(child)
        logger.warning("decoder ended with %s: %s", code, self._noise.decode(errors="replace"))
        if code is not None and code == -signal.SIGXCPU:
            reason = f"decoding took more than {self.limits.cpu_s} s of processor time"
            return AudioError(reason, kind="timeout")
        name = signal.Signals(-code).name if code is not None and code < 0 else f"exit {code}"
        return AudioError(f"the decoder crashed on this file ({name})", kind="crashed")


def _fileno(stream: Any) -> int:
    return int(stream.fileno())


def _write(child: subprocess.Popen[bytes], message: bytes) -> None:
    """Write a request: a few hundred bytes, which an idle child always takes at once."""
    try:
        os.write(_fileno(child.stdin), message)
    except OSError as error:
        raise _ChildGone from error


def _read(
    child: subprocess.Popen[bytes], size: int, deadline: float
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read exactly `size` bytes; TimeoutError at the deadline, _ChildGone at the end."""
    raw = bytearray(size)
    fd, done = _fileno(child.stdout), 0
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    while done < size:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if not waiter.poll(left_s * 1000):
            continue
        with suppress(BlockingIOError):
            got = os.readv(fd, [memoryview(raw)[done:]])
            if not got:
                raise _ChildGone
            done += got
    return np.frombuffer(raw, np.uint8)
