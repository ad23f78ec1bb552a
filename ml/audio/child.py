"""The decoding child: a process that may crash, hang or run out of memory, alone.

`ml.audio.reader.AudioReader` starts it as `python -m ml.audio.child LIMITS PARENT BUFFER`. It
applies its limits first, then answers requests on its standard input until that ends or its
parent dies. What libraries print goes to standard error, which is never waited for.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO

from ml.audio.shared_memory import SampleBuffer
from ml.audio.types import DecodeLimits, Probe, excerpt_frames
from ml.audio.wire import read_message, write_message
from ml.errors import AudioError
from ml.types import FeatureConfig

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer requests until standard input ends."""
    limits = DecodeLimits(**json.loads(sys.argv[1]))
    _die_with_parent(int(sys.argv[2]))
    buffer = SampleBuffer(int(sys.argv[3]))
    answers = _take_standard_output()
    _limit_resources(limits)
    from ml.audio import decoding  # under the limits: loads libsndfile

    def answer(request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        _limit_cpu(limits.cpu_s)
        if request["do"] == "probe":
            return _probe_values(decoding.decode_probe(request["path"], limits))
        config = FeatureConfig.from_dict(request["config"])
        samples = buffer.view(excerpt_frames(config))
        excerpt = decoding.decode_excerpt(request["path"], config, limits, samples)
        return {**vars(excerpt), "samples": len(excerpt.samples)}, b""

    write_message(answers, {"ok": True, "peak_rss_bytes": peak_rss_bytes()})
    while (request := read_message(sys.stdin.buffer)) is not None:
        payload: Any = b""
        try:
            values, payload = answer(request)
            reply: dict[str, Any] = {"ok": True, "values": values}
        except AudioError as error:
            reply = _refusal(error.reason, error.kind)
        except (MemoryError, OSError) as error:
            reply = _refusal(_reason_of(error))
        write_message(answers, {**reply, "peak_rss_bytes": peak_rss_bytes()}, payload)


def _refusal(reason: str, kind: str = "unreadable") -> dict[str, Any]:
    return {"ok": False, "reason": reason, "kind": kind}


def _reason_of(error: MemoryError | OSError) -> str:
    if isinstance(error, OSError) and error.errno != errno.ENOMEM:
        return f"the file cannot be read from the disk: {error.strerror or error}"
    return "damaged or hostile: decoding it takes more memory than allowed"


def _probe_values(probe: Probe) -> tuple[dict[str, Any], Any]:
    return {**asdict(probe), "peaks": None}, probe.peaks


def _take_standard_output() -> BinaryIO:
    """Reserve standard output for answers; everything else printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.set_blocking(2, False)
    return answers


def _limit_resources(limits: DecodeLimits) -> None:
    """Limit memory, forbid files and core dumps, as far as the system has these limits."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (soft, soft))


def _limit_cpu(seconds: int) -> None:
    """Allow so many more seconds of processor time, for one file."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds + 1, hard))


def _die_with_parent(parent_pid: int) -> None:
    """Die with the parent on Linux; elsewhere the end of input ends the child."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(1)


def peak_rss_bytes() -> int:
    """Return the largest resident memory that this process has had.

    `ru_maxrss` would include what the parent held when it forked; Linux has a counter that
    starts with the program.

    Returns
    -------
    int, in bytes.
    """
    with suppress(OSError, ValueError, IndexError), open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
