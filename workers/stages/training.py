"""One training from the arguments of a job to a model that can be registered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.conf import settings

from labeling.loop import featuring, promoting, recipes, registering, reporting, snapshotting
from labeling.loop.errors import BadInput
from labeling.loop.featuring import Located
from labeling.loop.promoting import Decision
from labeling.loop.registering import EpochLog, Trained
from labeling.loop.selection import Selection
from labeling.loop.snapshotting import Frozen
from labeling.models import (
    FeatureSet,
    Label,
    Library,
    ModelVersion,
    RunGroup,
    Snapshot,
    TrainingRun,
)
from ml.comparison import paired_differences, side_of
from ml.errors import CancelledError, MlError
from ml.networks.base import EpochReport
from ml.prediction import predict_pool
from ml.track_features import SelectedTracks, TrackFeatures
from ml.trained_model import SEMANTICS, TrainedModel, versions
from ml.training import train
from ml.types import LabelMatrix, TrainingConfig
from workers.progress import Run
from workers.stages import evaluating
from workers.stages.dataset import features_for
from workers.stopping import Stopped

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Prepared:
    """Everything a training reads.

    `frozen` holds the tracks that have features, `features` the same ones in the same order;
    `left_out` counts those of the snapshot that have none. `became_audit` names the tracks
    that were moved to the audit side after the snapshot was taken: audit wins, in `frozen` too.
    `origin` is the name and digest of the recipe, if it came of one.
    """

    library: Library
    snapshot: Snapshot
    frozen: Frozen
    uids: list[str]
    feature_set: FeatureSet
    features: TrackFeatures
    features_hash: str
    config: TrainingConfig
    left_out: int
    became_audit: tuple[str, ...] = ()
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def training(self) -> Rows:
        """Tracks that may be learnt from."""
        return np.flatnonzero(~self.frozen.is_audit)

    @property
    def audit(self) -> Rows:
        """Tracks that only measure."""
        return np.flatnonzero(self.frozen.is_audit)

    def digest(self) -> str:
        """Return a hash of all that decides the outcome beside the snapshot's content."""
        parts = (
            self.config.digest(),
            self.feature_set.digest,
            SEMANTICS,
            ",".join(self.uids),
            self.features_hash,
            *self.became_audit,
            *(one["digest"] for one in self.origin.values()),
        )
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """Return what a person wants to know of what was trained on."""
        return {
            "tracks": len(self.training),
            "audit_tracks": len(self.audit),
            "tracks_without_features": self.left_out,
            "labels": len(self.uids),
            **self.origin,
        }

    def answers_of(self, rows: Rows) -> dict[str, Any]:
        """Return whose answers about the tracks of these rows were learnt from."""
        track_ids = self.frozen.track_ids[rows]
        return reporting.about_answers(self.library, self.frozen.annotation_uids, track_ids)

    def about(self) -> dict[str, Any]:
        """Return what a report says of what was learnt from, and with what."""
        return {
            "library": self.library.slug,
            "network": self.config.network,
            "config": self.config.canonical(),
            "seed": self.config.seed,
            "features": {"name": self.feature_set.name, "digest": self.feature_set.digest},
            "snapshot": {
                "number": self.snapshot.number,
                "hash": self.snapshot.hash,
                "taken_at": self.snapshot.taken_at.isoformat(),
                "selection": self.snapshot.selection,
            },
            "answers": self.answers_of(self.training),
            **self.facts(),
        }


def prepare(library: Library, asked: dict[str, Any]) -> Prepared:
    """Take or find the snapshot, and bring its tracks together with their features.

    `asked` are the arguments of a training job.
    """
    config = recipes.config_of(library, asked)
    snapshot = _snapshot(library, asked)
    frozen, became_audit = _audit_wins(library, snapshotting.load(snapshot))
    frozen, uids = _only_facets(library, frozen, asked.get("facets") or [])
    feature_set = featuring.feature_set_of(config.features)
    found = featuring.located(library, feature_set, frozen.track_ids)
    if not len(found.track_ids):
        raise BadInput(
            f"none of the {snapshot.tracks} tracks of {snapshot} has the features "
            f"{feature_set.name}: run extract_features --library {library.slug} "
            f"--features {feature_set.name}"
        )
    return Prepared(
        library=library,
        snapshot=snapshot,
        frozen=_rows(frozen, np.searchsorted(frozen.track_ids, found.track_ids)),
        uids=uids,
        feature_set=feature_set,
        features=features_for(config.network, feature_set, found),
        features_hash=found.digest(),
        config=config,
        left_out=len(frozen.track_ids) - len(found.track_ids),
        became_audit=became_audit,
        origin=recipes.facts_of(asked),
    )


def _snapshot(library: Library, asked: dict[str, Any]) -> Snapshot:
    if asked.get("snapshot"):
        found = library.snapshots.filter(number=asked["snapshot"]).first()
        if found is None:
            raise BadInput(f"{library.slug} has no snapshot {asked['snapshot']}")
        return found
    if asked.get("selection"):
        return snapshotting.take_snapshot(library, Selection.of(asked["selection"]))
    selection = Selection(facets=tuple(asked.get("facets") or ()))
    if asked.get("lowers_support", True):
        selection = snapshotting.lowest_support(library, selection)
    return snapshotting.take_snapshot(library, selection)


def _audit_wins(library: Library, frozen: Frozen) -> tuple[Frozen, tuple[str, ...]]:
    """Take as audit also what has become audit since; return the uids of those tracks."""
    audit = library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    # All of them, by the index: thousands of ids do not fit into one statement.
    now = np.isin(frozen.track_ids, np.fromiter(audit.iterator(), dtype=np.int64))
    became = now & ~frozen.is_audit
    names = sorted(uid.decode() for uid in frozen.track_uids[became].tolist())
    return replace(frozen, is_audit=frozen.is_audit | now), tuple(names)


def _only_facets(
    library: Library, frozen: Frozen, facets: list[str]
) -> tuple[Frozen, list[str]]:
    uids = snapshotting.label_uids(frozen)
    if not facets:
        return frozen, uids
    labels = Label.objects.filter(facet__library=library, facet__name_key__in=facets)
    wanted = {label.uid.hex for label in labels}
    columns = np.array([n for n, uid in enumerate(uids) if uid in wanted], dtype=np.intp)
    if not len(columns):
        raise BadInput(f"the snapshot has no label of {', '.join(facets)}")
    return _columns(frozen, columns), [uids[n] for n in columns.tolist()]


def _columns(frozen: Frozen, columns: Rows) -> Frozen:
    arrays = frozen.arrays()
    for name in ("labels", "label_mask", "reference_labels", "reference_mask"):
        arrays[name] = arrays[name][:, columns]
    arrays["label_uids"] = arrays["label_uids"][columns]
    return Frozen.from_arrays(arrays)


def _rows(frozen: Frozen, rows: Rows) -> Frozen:
    arrays = frozen.arrays()
    for name in ("track_ids", "track_uids", "groups", "is_audit"):
        arrays[name] = arrays[name][rows]
    for name in ("labels", "label_mask", "reference_labels", "reference_mask"):
        arrays[name] = arrays[name][rows]
    return Frozen.from_arrays(arrays)


# --- training -------------------------------------------------------------------------------


@contextmanager
def recorded(
    run: Run, prepared: Prepared, *, group: RunGroup | None = None, arm: str = ""
) -> Iterator[tuple[TrainingRun, EpochLog]]:
    """Keep the row of the training true: running, and closed with a reason if it fails."""
    row = registering.start_run(
        prepared.snapshot,
        prepared.feature_set,
        prepared.config,
        digest=prepared.digest(),
        facts=prepared.facts(),
        versions=versions(),
        job=run.job,
        group=group,
        arm=arm,
    )
    states = TrainingRun.State
    try:
        yield row, EpochLog(row)
    except (CancelledError, Stopped):
        registering.end_without_model(row, states.CANCELLED, "stopped before the end")
        raise
    except Exception as error:
        registering.end_without_model(row, states.FAILED, str(error) or type(error).__name__)
        raise


def fit(run: Run, prepared: Prepared, log: EpochLog) -> TrainedModel:
    """Train on the training side, telling of every epoch."""

    def on_epoch(report: EpochReport) -> None:
        run.progress(report.epoch, report.epochs, f"epoch {report.epoch}, {report.stage}")
        log.add(_epoch(report))

    rows = prepared.training
    return train(
        SelectedTracks(prepared.features, rows),
        prepared.frozen.matrix.rows(rows),
        prepared.frozen.groups[rows],
        prepared.config,
        label_uids=prepared.uids,
        on_epoch=on_epoch,
        should_stop=run.should_stop,
    )


def _epoch(report: EpochReport) -> dict[str, Any]:
    """Return an epoch as JSON, which has no NaN."""
    values = asdict(report).items()
    return {name: None if value != value else value for name, value in values}


def saved(model: TrainedModel, row: TrainingRun, prepared: Prepared) -> Trained:
    """Measure the model and write its files; nothing refers to them yet."""
    record = evaluating.recorded_on_audit(model, row, prepared)
    metrics, baseline = evaluating.evaluated(record, prepared)
    name = registering.folder_name(row)
    stored = model.save(Path(settings.MODEL_ROOT) / name)
    measured = reporting.keep(name, record)
    return Trained(
        folder=name,
        sha256=stored.sha256,
        label_uids=model.label_uids,
        thresholds=model.thresholds.tolist(),
        calibration=model.platt.to_dict(),
        metrics=metrics,
        baseline=baseline,
        epochs=[_epoch(report) for report in model.history],
        measured=measured,
    )


# --- promotion ------------------------------------------------------------------------------


def decide(model: TrainedModel, trained: Trained, prepared: Prepared) -> Decision:
    """Decide by what is known of the model, then by comparison with the one in use."""
    champion = registering.champion_of(prepared.library)
    decision = (
        promoting.for_comparison(
            Selection.of(prepared.snapshot.selection),
            recipes.strangers(prepared.library, prepared.uids),
            prepared.origin.get("recipe", {}).get("name", ""),
        )
        or promoting.held_back(
            trained.metrics,
            trained.baseline,
            int(model.is_learnt.sum()),
            trained.measured.verdict if trained.measured else "",
        )
        or _decide_among_usable(model, trained, prepared, champion)
    )
    return replace(decision, against_id=champion.pk if champion else None)


def _decide_among_usable(
    model: TrainedModel, trained: Trained, prepared: Prepared, champion: ModelVersion | None
) -> Decision:
    if champion is None:
        return promoting.decide_first(trained.metrics, trained.baseline)
    known = _decide_by_labels(champion, prepared)
    if known is not None:
        return known
    try:
        in_use = TrainedModel.load(registering.folder_of(champion), champion.sha256)
        its_snapshot = snapshotting.load(champion.run.snapshot)
    except (MlError, BadInput) as error:
        reason = f"model {champion.number}, in use so far, cannot be compared: {error}"
        return Decision(True, reason)
    learnt_from = its_snapshot.track_ids[~its_snapshot.is_audit]
    rows = prepared.audit
    rows = rows[~np.isin(prepared.frozen.track_ids[rows], learnt_from)]
    found = featuring.located(
        prepared.library, champion.run.feature_set, prepared.frozen.track_ids[rows]
    )
    rows = rows[np.isin(prepared.frozen.track_ids[rows], found.track_ids)]
    mine, its = registering.in_common(champion, prepared.uids)
    reference = prepared.frozen.reference.rows(rows)
    old = features_for(in_use.config.network, champion.run.feature_set, found)
    labels = LabelMatrix(reference.labels[:, mine], reference.label_mask[:, mine])
    groups = prepared.frozen.groups[rows]
    now = model.probabilities(SelectedTracks(prepared.features, rows))[:, mine]
    before = in_use.probabilities(old)[:, its]
    decision = promoting.decide_against(champion, now, before, labels, groups)
    gaps = paired_differences(
        side_of(before, in_use.thresholds[its]),
        side_of(now, model.thresholds[mine]),
        labels,
        in_use.prior[its],
        groups,
    )
    return replace(decision, figures={**decision.figures, "differences": gaps})


def _decide_by_labels(champion: ModelVersion, prepared: Prepared) -> Decision | None:
    """Refuse a model that has lost labels of the one in use; None where it has lost none.

    Figures compare common labels only, and would not show what it can no longer say.
    """
    its, mine = list(champion.label_uids), set(prepared.uids)
    figures = {"against": champion.number, "lost": []}
    active = Label.objects.filter(
        facet__library=prepared.library, is_active=True, merged_into__isnull=True
    )
    alive = {label.uid.hex for label in active}.intersection(its)
    if not alive:
        reason = f"no label of model {champion.number} is in the taxonomy any more"
        return Decision(True, reason, figures)
    common = mine.intersection(its)
    if not common:
        reason = f"it knows none of the {len(its)} labels of the model in use"
        return Decision(False, reason, figures)
    lost = sorted(alive - mine)
    if lost:
        lost = sorted(snapshotting.supported_labels(prepared.library).intersection(lost))
    if not lost:
        return None
    reason = f"it knows {len(common)} of the {len(its)} labels of the model in use"
    return Decision(False, reason, {**figures, "lost": lost})


# --- prediction -----------------------------------------------------------------------------


def score_all(
    run: Run, library: Library, number: int | None
) -> tuple[ModelVersion, Located, npt.NDArray[Any]]:
    """Return (model version, tracks, probabilities) of all tracks that have features."""
    version = registering.version_of(library, number)
    model = TrainedModel.load(registering.folder_of(version), version.sha256)
    found = featuring.located(library, version.run.feature_set)
    features = features_for(model.config.network, version.run.feature_set, found)
    probabilities = predict_pool(model, features, run.progress, run.should_stop)
    return version, found, probabilities
