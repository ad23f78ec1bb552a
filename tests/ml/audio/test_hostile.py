"""Hostile files and dying children: one reason each, bounded memory, nothing left behind."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from ml.audio.reader import AudioReader
from ml.audio.types import DecodeLimits
from ml.errors import AudioError
from ml.types import FEATURE_CONFIGS
from tests.ml import odd

CONFIG = FEATURE_CONFIGS["audiotag"]
MAX_RSS = 500_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def mp3(folder):
    return odd.write_mp3(folder / "good.mp3", odd.sound(10)).read_bytes()


@pytest.fixture(scope="module")
def flac(folder):
    return odd.write(folder / "good.flac", odd.sound(2)).read_bytes()


def outcome(reader, path):
    """(seconds, seconds) by excerpt and probe, or the reason of both."""
    try:
        excerpt = reader.excerpt(path, CONFIG)
    except AudioError as error:
        reason = error.reason
    else:
        return excerpt.length_known_s, reader.probe(path).length_s
    with pytest.raises(AudioError) as caught:
        reader.probe(path)
    assert caught.value.kind == "unreadable"
    return reason


def hostile_bytes(mp3, flac, rng):
    """Name: (content, length in seconds or words of the reason)."""
    silent_head = b"\xff\xfb\x90\x64"
    return {
        "wav claims 2^31 frames": (odd.wav(claimed_bytes=2**32 - 1, data=bytes(88_200)), 0.5),
        "wav claims 2^31 frames, has none": (odd.wav(claimed_bytes=2**32 - 1), "too short"),
        "rf64 claims 2^60 frames": (odd.rf64_claiming(2**60, bytes(88_200)), 0.5),
        "rf64 claims 2^62 frames": (odd.rf64_claiming(2**62, bytes(88_200)), "damaged"),
        "wav with 65,535 channels": (odd.wav(channels=65_535), "damaged"),
        "wav with 200 channels": (odd.wav(channels=200, data=bytes(9_999)), "200 channels"),
        "wav with rate 0": (odd.wav(rate_hz=0), "damaged"),
        "wav with rate 2^32-1": (odd.wav(rate_hz=2**32 - 1), "damaged"),
        "wav of IMA ADPCM": (odd.wav(codec=0x11, bits=4), "IMA ADPCM"),
        "flac of 2^36 samples": (odd.flac_claiming(flac, 2**36 - 1), 2.0),
        "flac of unknown length": (odd.flac_claiming(flac, 0), 2.0),
        "mp3 of 2^32 frames": (odd.with_claim(mp3, 2**32 - 1), 10.0),
        "mp3 of 1 frame": (odd.with_claim(mp3, 1), 10.0),
        "mp3 cut after 5 kB": (mp3[:5_000], 0.21),
        "mp3 tag longer than the file": (b"ID3\x03\0\0\x7f\x7f\x7f\x7f" + bytes(2_000), "tags"),
        "one header again and again": (silent_head * 5_000, "damaged"),
        "zeros": (bytes(100_000), "zeros"),
        "noise": (b"\x80" + rng.bytes(100_000), "not an audio file"),
        "all ones": (b"\xff" * 200_000, "not an audio file"),
    }


def test_hostile_files(folder, mp3, flac, rng):
    with AudioReader() as reader:
        pids = set()
        for name, (content, expected) in hostile_bytes(mp3, flac, rng).items():
            path = folder / "hostile"
            path.write_bytes(content)
            result = outcome(reader, path)
            if isinstance(expected, str):
                assert isinstance(result, str), name
                assert expected in result, name
            else:
                assert result == pytest.approx((expected, expected), abs=0.06), name
            pids.add(reader.child_pid)
        assert len(pids) == 1, "a child crashed"
        assert reader.peak_rss_bytes < MAX_RSS


def test_a_bomb_is_decoded_in_constant_memory(folder):
    path = odd.flac_bomb(folder / "bomb.flac", minutes=20)
    assert path.stat().st_size < 500_000
    with AudioReader() as reader:
        assert outcome(reader, path) == (1_200.0, 1_200.0)
        assert reader.peak_rss_bytes < 150_000_000


def test_length_and_size_limits(folder, mp3, flac):
    path = folder / "limited"
    with AudioReader(DecodeLimits(max_length_s=1.5)) as reader:
        for content in (flac, odd.flac_claiming(flac, 2**36 - 1), odd.wav(data=bytes(300_000))):
            path.write_bytes(content)
            assert outcome(reader, path) == "longer than 0.025 minutes"
        path.write_bytes(odd.without_tag(mp3))
        assert outcome(reader, path) == "longer than 0.025 minutes"
    path.write_bytes(bytes(2_000_001))
    with AudioReader(DecodeLimits(max_bytes=2_000_000)) as reader:
        assert outcome(reader, path) == "larger than 2 MB"


def test_flipped_cut_and_spliced_files_never_kill_the_reader(folder, mp3, flac, rng):
    """A small fuzz: whatever a file does, the reader answers and goes on."""
    ogg = odd.write(folder / "good.ogg", odd.sound(2)).read_bytes()
    aiff = odd.write(folder / "good.aiff", odd.sound(0.5)).read_bytes()
    path, seeds = folder / "fuzzed", [mp3[:60_000], flac, ogg, aiff, odd.wav(data=bytes(9_000))]
    with AudioReader(DecodeLimits(wall_s=20)) as reader:
        for number in range(100):
            raw = np.frombuffer(seeds[number % len(seeds)], np.uint8).copy()
            places = rng.integers(0, 200 if number % 2 else len(raw), 10)
            raw[places] = rng.integers(0, 256, 10)
            path.write_bytes(raw.tobytes()[: rng.integers(50, len(raw))])
            for ask in (reader.probe, lambda path: reader.excerpt(path, CONFIG)):
                with suppress(AudioError):
                    ask(path)
        assert reader.peak_rss_bytes < MAX_RSS
        assert reader.excerpt(folder / "good.mp3", CONFIG).samples.any()


def kill_child_when_asked(reader, sig):
    """Stop the child; once a request waits for it, let the signal meet it."""
    child = reader._child
    os.kill(child.pid, signal.SIGSTOP)

    def wait_and_kill():
        waiting = array.array("i", [0])
        while not waiting[0]:
            fcntl.ioctl(child.stdin, termios.FIONREAD, waiting)
        os.kill(child.pid, sig)
        os.kill(child.pid, signal.SIGCONT)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_costs_one_file(folder, mp3, sig):
    with AudioReader() as reader:
        reader.excerpt(folder / "good.mp3", CONFIG)
        first = reader.child_pid
        killer = kill_child_when_asked(reader, sig)
        with pytest.raises(AudioError, match=signal.Signals(sig).name) as caught:
            reader.excerpt(folder / "good.mp3", CONFIG)
        killer.join()
        assert caught.value.kind == "crashed"
        assert len(reader.excerpt(folder / "good.mp3", CONFIG).samples) == 10 * odd.RATE_HZ
        assert reader.child_pid != first


def test_a_child_that_died_between_two_files_costs_none(folder, mp3):
    with AudioReader() as reader:
        reader.excerpt(folder / "good.mp3", CONFIG)
        os.kill(reader.child_pid, signal.SIGKILL)
        os.waitid(os.P_PID, reader.child_pid, os.WEXITED | os.WNOWAIT)
        assert reader.excerpt(folder / "good.mp3", CONFIG).samples.any()


def test_a_child_that_hangs_is_stopped(folder, mp3):
    with AudioReader() as reader:
        reader.excerpt(folder / "good.mp3", CONFIG)
        first = reader.child_pid
        os.kill(first, signal.SIGSTOP)
        reader.limits = DecodeLimits(wall_s=0.5)
        with pytest.raises(AudioError, match=r"longer than 0\.5 s") as caught:
            reader.probe(folder / "good.mp3")
        assert caught.value.kind == "timeout"
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        reader.limits = DecodeLimits()
        assert reader.probe(folder / "good.mp3").length_s == pytest.approx(10, abs=0.001)


def test_memory_beyond_the_limit_is_a_reason(folder):
    """A long excerpt of many channels at a high rate needs too much memory."""
    path = odd.write(folder / "wide.wav", np.zeros((600 * 8_000, 1), np.float32), 8_000)
    limits = DecodeLimits(memory_bytes=450_000_000)
    with AudioReader(limits) as reader:
        with pytest.raises(AudioError, match="more memory than allowed") as caught:
            reader.excerpt(
                path, replace(CONFIG, excerpt_s=600.0, sample_rate_hz=192_000, fmax_hz=9_000.0)
            )
        assert caught.value.kind == "unreadable"
        assert reader.probe(path).length_s == 600


def test_children_are_renewed(folder, mp3):
    with AudioReader(recycle_after=2) as reader:
        pids = []
        for _ in range(5):
            reader.probe(folder / "good.mp3")
            pids.append(reader.child_pid)
    assert pids[0] == pids[1]
    assert pids[2] == pids[3]
    assert len(set(pids)) == 3


def test_closing_ends_the_child_and_a_reader_may_be_used_again(folder, mp3):
    reader = AudioReader()
    reader.probe(folder / "good.mp3")
    first = reader.child_pid
    reader.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    assert reader.probe(folder / "good.mp3").length_s > 9
    reader.close()
    reader.close()


def test_no_orphan_when_the_parent_is_killed(folder, mp3):
    script = (
        "import sys, time\n"
        "from ml.audio.reader import AudioReader\n"
        "reader = AudioReader()\n"
        f"reader.probe({str(folder / 'good.mp3')!r})\n"
        "print(reader.child_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child_pid = int(parent.stdout.readline())
    assert os.path.exists(f"/proc/{child_pid}")
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_running(child_pid) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_running(child_pid)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_decoders_do_not_print(folder, mp3, rng, capfd):
    path = folder / "noisy.mp3"
    path.write_bytes(odd.with_junk(mp3, rng.bytes(20_000)))
    with AudioReader() as reader:
        reader.probe(path)
    assert capfd.readouterr() == ("", "")


def test_the_parent_loads_no_decoder():
    script = (
        "import sys, ml.audio.reader; print({'soundfile', 'soxr', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_a_fork_of_the_reader_gets_a_child_of_its_own(folder, mp3):
    with AudioReader() as reader:
        before = reader.excerpt(folder / "good.mp3", CONFIG)
        pid = os.fork()
        if pid == 0:
            is_other = reader.excerpt(folder / "good.mp3", CONFIG) and reader.child_pid
            reader.close()
            os._exit(0 if is_other else 1)
        first = reader.child_pid
        assert os.waitpid(pid, 0)[1] == 0
        assert np.array_equal(
            reader.excerpt(folder / "good.mp3", CONFIG).samples, before.samples
        )
        assert reader.child_pid == first


def test_borrowed_samples_last_until_the_next_call(folder, mp3, flac):
    with AudioReader() as reader:
        kept = reader.excerpt(folder / "good.mp3", CONFIG)
        borrowed = reader.excerpt(folder / "good.mp3", CONFIG, is_borrowed=True)
        assert np.array_equal(kept.samples, borrowed.samples)
        other = reader.excerpt(folder / "good.flac", CONFIG)
        assert np.array_equal(borrowed.samples[: len(other.samples)], other.samples)
        longer = reader.excerpt(folder / "good.mp3", replace(CONFIG, excerpt_s=90.0))
        assert len(longer.samples) == len(kept.samples)
