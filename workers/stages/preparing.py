"""From the arguments of a job to everything that a training or a measurement reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labeling.errors import BadInput
from labeling.loop import features as loop_features
from labeling.loop.datasets import aggregate, snapshots
from labeling.loop.datasets.arrays import SnapshotArrays
from labeling.loop.datasets.selection import Selection
from labeling.loop.registry import evaluation_records, recipes
from labeling.models import FeatureSet, Label, Library, Snapshot
from ml.features.track_features import TrackFeatures
from ml.training.trained_model import SEMANTICS
from ml.types import TrainingConfig
from workers.stages.dataset import track_features_for

Rows = npt.NDArray[np.intp]
#: Arrays of a snapshot with a column a label.
BY_LABEL = (
    "labels",
    "label_mask",
    "soft_labels",
    "reference_labels",
    "reference_mask",
    "is_present",
)


@dataclass(frozen=True)
class Prepared:
    """Everything that a training reads.

    `frozen` holds the tracks that have features, `features` the same ones in that order;
    `left_out` counts the tracks of the snapshot without features. `became_audit` names the
    tracks that were moved to the audit side after the snapshot was taken: audit wins, in
    `frozen` too. `origin` is the name and digest of the recipe, if there is one.
    """

    library: Library
    snapshot: Snapshot
    frozen: SnapshotArrays
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

    @property
    def is_present(self) -> npt.NDArray[np.bool_] | None:
        """Return which training tracks were judged by the current criteria.

        None if the reference labels on audit tracks are mostly by other criteria: a model that
        predicts as the current curators would then be evaluated by other curators' answers.
        """
        frozen = self.frozen
        is_present = _is_mostly(frozen.is_present, frozen.matrix.answered)
        measures = frozen.reference.label_mask.any(axis=1) & frozen.is_audit
        of_reference = _is_mostly(frozen.is_present, frozen.reference.label_mask)
        if 2 * int((measures & of_reference).sum()) < int(measures.sum()):
            return None
        return is_present[self.training]

    @property
    def facets(self) -> list[str]:
        """Return the facet of each label; of one that is known no more, its uid."""
        made = {aggregate.others_uid(facet): facet.name for facet in self.library.facets.all()}
        found = evaluation_records.recorded_label_names(self.library, self.uids)
        return [label.facet or made.get(label.uid, label.uid) for label in found]

    def digest(self) -> str:
        """Return a hash of all that decides the outcome, apart from the snapshot's content."""
        parts = (
            self.config.digest(),
            self.feature_set.digest,
            SEMANTICS,
            ",".join(self.uids),
            ",".join(self.facets),
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

    def answers_of(self, rows: Rows) -> evaluation_records.AnswersTrainedOn:
        """Return whose answers about the tracks of these rows were learnt from."""
        track_ids = self.frozen.track_ids[rows]
        return evaluation_records.about_answers(
            self.library, self.frozen.annotation_uids, track_ids
        )

    def about(self) -> dict[str, Any]:
        """Return the facts of a report about the training set and the configuration."""
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


def _is_mostly(
    is_present: npt.NDArray[np.bool_], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which tracks have at least half of their judgements by the current criteria."""
    n_present = (is_present & mask).sum(axis=1)
    return np.asarray((n_present > 0) & (2 * n_present >= mask.sum(axis=1)))


def prepare(library: Library, asked: dict[str, Any]) -> Prepared:
    """Take or find the snapshot, and bring its tracks together with their features.

    `asked` are the arguments of a training job.
    """
    config = recipes.training_config_of(library, asked)
    snapshot = _snapshot(library, asked)
    frozen, became_audit = _audit_wins(library, snapshots.load(snapshot))
    frozen, uids = _only_facets(library, frozen, asked.get("facets") or [])
    feature_set = loop_features.feature_set_of(config.features)
    found = loop_features.located(library, feature_set, frozen.track_ids)
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
        features=track_features_for(config.network, feature_set, found),
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
        return snapshots.take_snapshot(library, Selection.of(asked["selection"]))
    selection = Selection(facets=tuple(asked.get("facets") or ()))
    if asked.get("lowers_support", True):
        selection = snapshots.lowest_support(library, selection)
    return snapshots.take_snapshot(library, selection)


def _audit_wins(
    library: Library, frozen: SnapshotArrays
) -> tuple[SnapshotArrays, tuple[str, ...]]:
    """Take as audit also what has become audit since; return the uids of those tracks."""
    audit = library.tracks.filter(is_audit=True).values_list("pk", flat=True)
    # All of them, by the index: thousands of ids do not fit into one statement.
    now = np.isin(frozen.track_ids, np.fromiter(audit.iterator(), dtype=np.int64))
    became = now & ~frozen.is_audit
    names = sorted(uid.decode() for uid in frozen.track_uids[became].tolist())
    return replace(frozen, is_audit=frozen.is_audit | now), tuple(names)


def _only_facets(
    library: Library, frozen: SnapshotArrays, facets: list[str]
) -> tuple[SnapshotArrays, list[str]]:
    uids = snapshots.label_uids(frozen)
    if not facets:
        return frozen, uids
    labels = Label.objects.filter(facet__library=library, facet__name_key__in=facets)
    wanted = {label.uid.hex for label in labels}
    columns = np.array([n for n, uid in enumerate(uids) if uid in wanted], dtype=np.intp)
    if not len(columns):
        raise BadInput(f"the snapshot has no label of {', '.join(facets)}")
    return _columns(frozen, columns), [uids[n] for n in columns.tolist()]


def _columns(frozen: SnapshotArrays, columns: Rows) -> SnapshotArrays:
    arrays = frozen.arrays()
    for name in arrays.keys() & set(BY_LABEL):
        arrays[name] = arrays[name][:, columns]
    arrays["label_uids"] = arrays["label_uids"][columns]
    return SnapshotArrays.from_arrays(arrays)


def _rows(frozen: SnapshotArrays, rows: Rows) -> SnapshotArrays:
    arrays = frozen.arrays()
    for name in arrays.keys() & {"track_ids", "track_uids", "groups", "is_audit", *BY_LABEL}:
        arrays[name] = arrays[name][rows]
    return SnapshotArrays.from_arrays(arrays)
