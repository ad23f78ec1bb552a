"""State of a house after all the kills: each result once, each file whole and named."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np

from labeling.loop.registry.evaluation_records import REPORT_FILE
from labeling.models import (
    AudioFile,
    Evaluation,
    FeatureRow,
    FeatureSet,
    ModelVersion,
    PredictionSet,
    Snapshot,
    TrainingRun,
)
from ml.evaluation.record import FILE_NAME, read_record
from ml.features.store import FeatureStore, ShardRow, config_folder
from ml.training.prediction_store import PredictionArray
from ml.training.weights import MODEL_FILE, WEIGHTS_FILE, read_model
from ml.types import FeatureConfig

FOLDERS = ("features", "models", "snapshots", "predictions", "peaks")
_LONG_AGO_S = 48 * 3600


class Ledger:
    """Compares the rows of a house with the files in its folders."""

    def __init__(self, house) -> None:
        self.house = house
        self.folder: Path = house.folder

    def rows(self, model):
        return model.objects.using(self.house.alias)

    def files(self) -> set[str]:
        """Return every file below the five folders, by its path there."""
        found = (path for name in FOLDERS for path in (self.folder / name).rglob("*"))
        return {str(path.relative_to(self.folder)) for path in found if path.is_file()}

    def strangers(self) -> set[str]:
        """Return the files that no row names."""
        return self.files() - self.named()

    def age_everything(self) -> None:
        """Let all files look so old that nobody can be about to name them."""
        then = time.time() - _LONG_AGO_S
        for name in FOLDERS:
            for path in (self.folder / name).rglob("*"):
                os.utime(path, (then, then))

    def named(self) -> set[str]:
        """Return the files that rows name, after each was opened and found whole."""
        return {
            *self._features(),
            *self._models(),
            *self._evaluations(),
            *self._snapshots(),
            *self._predictions(),
            *self._peaks(),
        }

    def _features(self):
        for feature_set in self.rows(FeatureSet).all():
            config = FeatureConfig.from_dict(feature_set.parameters)
            store = FeatureStore(self.folder / "features", config)
            home = config_folder("features", config)
            done = self.rows(FeatureRow).filter(feature_set=feature_set, state="done")
            for row in done:
                assert store.windows(row.shard, row.offset, row.windows).any()
                at = ShardRow(row.audio_id, row.shard, row.offset, row.windows)
                assert np.isfinite(store.summaries([at])).all()
                yield from (f"{home}/{row.shard}.{part}.npy" for part in ("windows", "tracks"))

    def _models(self):
        for version in self.rows(ModelVersion).all():
            read_model(self.folder / "models" / version.folder, version.sha256)
            yield from (f"models/{version.folder}/{n}" for n in (WEIGHTS_FILE, MODEL_FILE))

    def _evaluations(self):
        for row in self.rows(Evaluation).all():
            home = self.folder / "models" / row.folder
            read_record(home / FILE_NAME, row.sha256)
            assert json.loads((home / REPORT_FILE).read_text())["record"] == row.sha256
            yield from (f"models/{row.folder}/{n}" for n in (FILE_NAME, REPORT_FILE))

    def _snapshots(self):
        import hashlib

        for snapshot in self.rows(Snapshot).all():
            content = (self.folder / "snapshots" / snapshot.file).read_bytes()
            assert hashlib.sha256(content).hexdigest() == snapshot.sha256
            yield f"snapshots/{snapshot.file}"

    def _predictions(self):
        home = self.folder / "predictions"
        for row in self.rows(PredictionSet).all():
            array = PredictionArray.open(home / row.file, row.sha256)
            track_ids = np.load(home / row.index_file, allow_pickle=False)
            assert array.n_tracks == len(track_ids) == row.tracks
            yield from (f"predictions/{row.file}", f"predictions/{row.index_file}")

    def _peaks(self):
        for file in self.rows(AudioFile).exclude(peaks_file=""):
            peaks = np.load(self.folder / "peaks" / file.peaks_file, allow_pickle=False)
            assert (peaks.dtype, peaks.shape) == (np.dtype(np.int8), (800, 2))
            yield f"peaks/{file.peaks_file}"

    # --- results --------------------------------------------------------------------------
    def check_probes(self, n_files: int) -> None:
        """Every file was listened to, and its tracks are ready."""
        assert self.rows(AudioFile).filter(probed_at__isnull=False).count() == n_files
        assert set(self.house.tracks.values_list("state", flat=True)) == {"ready"}
        assert not self.rows(AudioFile).filter(peaks_file="").exists()

    def check_features(self, n_files: int) -> None:
        """One row for every file and set, all of them done."""
        rows = self.rows(FeatureRow)
        pairs = list(rows.values_list("feature_set_id", "audio_id"))
        assert len(pairs) == len(set(pairs)) == n_files
        assert set(rows.values_list("state", flat=True)) == {"done"}

    def check_trainings(self, jobs) -> None:
        """One finished run and one model for every job; no run that seems to go on."""
        done = self.rows(TrainingRun).filter(state="done")
        assert sorted(done.values_list("job_id", flat=True)) == sorted(job.pk for job in jobs)
        assert not self.rows(TrainingRun).filter(state="running").exists()
        versions = self.rows(ModelVersion)
        told = sorted(job.result["model_version"] for job in jobs)
        assert sorted(versions.values_list("number", flat=True)) == told
        assert sorted(versions.values_list("run_id", flat=True)) == sorted(
            done.values_list("pk", flat=True)
        )
        assert versions.filter(state="champion").count() == 1
        measured = self.rows(Evaluation).values_list("run_id", flat=True)
        assert sorted(measured) == sorted(done.values_list("pk", flat=True))

    def check_predictions(self) -> None:
        """One set for each model that has any."""
        owners = list(self.rows(PredictionSet).values_list("model_version_id", flat=True))
        assert len(owners) == len(set(owners)) == self.rows(ModelVersion).count() == 1
