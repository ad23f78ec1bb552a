"""Probe and features of the files of one chunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from labeling.loop import features
from labeling.loop.features import Failure, Probed
from labeling.models import FeatureSet
from ml.audio.reader import AudioReader
from ml.features.extraction import compute_windows, summarise_windows
from ml.features.store import ShardRow, StoreItem, write_shard
from ml.types import FeatureConfig
from workers.jobs.chunks import Lease
from workers.stages.decoding import decode_each

Windows = npt.NDArray[np.float32]


def probe_files(lease: Lease, audio_ids: list[int]) -> tuple[list[Probed], list[Failure]]:
    """Decode each file once in full and write its waveform to disk."""

    def probe(reader: AudioReader, audio_id: int, path: Path) -> Probed:
        found = reader.probe(path)
        return Probed(audio_id, found, features.write_peaks(audio_id, found))

    return decode_each(lease, audio_ids, probe)


def features_of_files(
    lease: Lease, feature_set: FeatureSet, root: Path, audio_ids: list[int]
) -> tuple[list[ShardRow], list[Failure]]:
    """Compute the features of each file and write them as one shard, named by the attempt."""
    config = FeatureConfig.from_dict(feature_set.parameters)
    known = features.known_failures(audio_ids)
    lost = {failure.audio_id for failure in known}

    def extract(reader: AudioReader, audio_id: int, path: Path) -> StoreItem:
        windows = compute_windows(reader.excerpt(path, config).samples, config)
        # Summaries are of what is stored, so that they can be computed again from it.
        stored = windows.astype(np.float16)
        return audio_id, stored, summarise_windows(stored, config)

    readable = [audio_id for audio_id in audio_ids if audio_id not in lost]
    items, failures = decode_each(lease, readable, extract)
    rows = write_shard(root, config, f"{lease.token.hex}", items) if items else []
    return rows, known + failures
