"""Shards: written once, whole or not at all, read by memory map."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from ml.errors import FeatureStoreError, ParameterError
from ml.features import store as feature_store
from ml.features.store import FeatureStore, ShardRow, config_folder, write_shard
from ml.types import FEATURE_CONFIGS

CONFIG = FEATURE_CONFIGS["seed-025s"]
SHAPE = CONFIG.frame_shape


def items(keys=(7, 3, 11), counts=(2, 1, 4), d=5):
    rng = np.random.default_rng(0)
    return [
        (key, rng.normal(0, 9, (n, *SHAPE)).astype(np.float32), rng.normal(0, 1, d))
        for key, n in zip(keys, counts, strict=True)
    ]


def test_what_is_written_is_read(tmp_path):
    written = items()
    rows = write_shard(tmp_path, CONFIG, "chunk-1-a", written)
    assert rows == [
        ShardRow(7, "chunk-1-a", 0, 2),
        ShardRow(3, "chunk-1-a", 2, 1),
        ShardRow(11, "chunk-1-a", 3, 4),
    ]
    store = FeatureStore(tmp_path, CONFIG)
    for row, (_, windows, _) in zip(rows, written, strict=True):
        read = store.windows(row.shard, row.offset, row.windows)
        assert read.dtype == np.float16
        assert np.array_equal(read, windows.astype(np.float16))


def test_summaries_come_in_the_order_asked_for_across_shards(tmp_path):
    first, second = items(), items(keys=(20, 21), counts=(1, 3))
    rows = write_shard(tmp_path, CONFIG, "a", first) + write_shard(
        tmp_path, CONFIG, "b", second
    )
    asked = [rows[4], rows[0], rows[2], rows[3]]
    expected = np.stack([second[1][2], first[0][2], first[2][2], second[0][2]])
    read = FeatureStore(tmp_path, CONFIG).summaries(asked)
    assert read.dtype == np.float32
    assert read == pytest.approx(expected)


def test_views_are_read_only_and_on_disk(tmp_path):
    (row, *_) = write_shard(tmp_path, CONFIG, "a", items())
    view = FeatureStore(tmp_path, CONFIG).windows("a", row.offset, row.windows)
    assert not view.flags.writeable
    assert not view.flags.owndata


def test_a_shard_is_written_once(tmp_path):
    write_shard(tmp_path, CONFIG, "a", items())
    with pytest.raises(FeatureStoreError, match="written once"):
        write_shard(tmp_path, CONFIG, "a", items())


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", ".hidden", "x" * 200])
def test_names_stay_inside_the_folder(tmp_path, name):
    with pytest.raises(ParameterError, match="name of a shard"):
        write_shard(tmp_path, CONFIG, name, items())
    with pytest.raises(ParameterError, match="name of a shard"):
        FeatureStore(tmp_path, CONFIG).windows(name, 0, 1)


def test_it_refuses_other_shapes_and_values_that_are_not_finite(tmp_path):
    good = items()
    odd_windows = [(1, np.zeros((2, 9, 13), np.float32), good[0][2])]
    odd_summary = [good[0], (1, good[1][1], np.zeros(4))]
    not_finite = [(1, np.full((1, *SHAPE), np.nan, np.float32), good[0][2])]
    for bad in ([], odd_windows, odd_summary, not_finite):
        with pytest.raises(ParameterError):
            write_shard(tmp_path, CONFIG, "a", bad)
    assert not list(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize("suffix", [".windows.npy", ".tracks.npy"])
@pytest.mark.parametrize("keep", [0, 60, 0.7])
def test_a_shard_cut_short_says_so(tmp_path, suffix, keep):
    write_shard(tmp_path, CONFIG, "a", items())
    path = config_folder(tmp_path, CONFIG) / f"a{suffix}"
    raw = path.read_bytes()
    path.write_bytes(raw[: keep if isinstance(keep, int) else int(len(raw) * keep)])
    store = FeatureStore(tmp_path, CONFIG)
    with pytest.raises(FeatureStoreError, match="shard a"):
        store.windows("a", 0, 1)


def test_what_is_not_there_says_so(tmp_path):
    rows = write_shard(tmp_path, CONFIG, "a", items())
    store = FeatureStore(tmp_path, CONFIG)
    with pytest.raises(FeatureStoreError, match="b is not there"):
        store.windows("b", 0, 1)
    with pytest.raises(FeatureStoreError, match="has 7 windows"):
        store.windows("a", 5, 3)
    with pytest.raises(FeatureStoreError, match="does not hold"):
        store.summaries([ShardRow(99, "a", rows[0].offset, 2)])


def test_configs_do_not_share_a_folder(tmp_path):
    write_shard(tmp_path, CONFIG, "a", items())
    with pytest.raises(FeatureStoreError, match="not there"):
        FeatureStore(tmp_path, FEATURE_CONFIGS["seed-1s"]).windows("a", 0, 1)


def test_a_writer_killed_before_the_rename_leaves_nothing_visible(tmp_path):
    script = (
        "import os, numpy as np\n"
        "from ml.features import store as s\n"
        "from ml.types import FEATURE_CONFIGS as C\n"
        "c = C['seed-025s']\n"
        "s.os.replace = lambda *a: os.kill(os.getpid(), 9)\n"
        f"s.write_shard({str(tmp_path)!r}, c, 'a',\n"
        "              [(1, np.ones((2, *c.frame_shape)), np.ones(3))])\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    folder = config_folder(tmp_path, CONFIG)
    assert [path.name for path in folder.iterdir()] == ["a.tracks.npy.part"]
    with pytest.raises(FeatureStoreError):
        FeatureStore(tmp_path, CONFIG).windows("a", 0, 1)
    write_shard(tmp_path, CONFIG, "a2", items())
    assert FeatureStore(tmp_path, CONFIG).windows("a2", 0, 2).shape == (2, *SHAPE)


def test_sweep_removes_old_files_that_nothing_names(tmp_path):
    for name in ("kept", "orphan", "young"):
        write_shard(tmp_path, CONFIG, name, items())
    folder = config_folder(tmp_path, CONFIG)
    (folder / "kept.windows.npy.part").write_bytes(b"half")
    (folder / "notes.txt").write_text("not ours")
    long_ago = time.time() - 7_200
    for path in folder.iterdir():
        if not path.name.startswith("young"):
            os.utime(path, (long_ago, long_ago))
    removed = FeatureStore(tmp_path, CONFIG).sweep(["kept"], older_than_s=3_600)
    assert removed == ["kept.windows.npy.part", "orphan.tracks.npy", "orphan.windows.npy"]
    left = {path.name.split(".")[0] for path in folder.iterdir()}
    assert left == {"kept", "young", "notes"}


def test_more_shards_than_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_store, "_OPEN_SHARDS", 2)
    rows = [
        write_shard(tmp_path, CONFIG, f"s{i}", items(keys=(i,), counts=(1,)))[0]
        for i in range(5)
    ]
    store = FeatureStore(tmp_path, CONFIG)
    views = [store.windows(row.shard, 0, 1) for row in rows]
    assert all(np.array_equal(view, views[0]) for view in views)
    assert store.summaries(rows).shape == (5, 5)


def test_the_store_needs_no_scipy():
    script = "import sys, ml.features.store; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
