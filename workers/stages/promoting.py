"""Comparison of a usable new model with the champion and the best former champions."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from labeling.errors import BadInput
from labeling.loop import features as loop_features
from labeling.loop.datasets import snapshots
from labeling.loop.registry import models, promotion
from labeling.loop.registry.former_champions import former_champions
from labeling.loop.registry.models import Trained
from labeling.loop.registry.promotion import Decision, Duel
from labeling.models import Label, ModelVersion
from ml.errors import MlError
from ml.evaluation.comparison import paired_differences, side_of
from ml.features.track_features import SelectedTracks
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix
from workers.stages.dataset import track_features_for
from workers.stages.preparing import Prepared

logger = logging.getLogger(__name__)


def decide_among_usable(
    model: TrainedModel, trained: Trained, prepared: Prepared, champion: ModelVersion | None
) -> Decision:
    """Compare a model that the other rules did not reject, first with the champion.

    1. Reject a model that has lost labels of the champion.
    2. Reject a model that is clearly worse than the champion, or cannot be compared at all.
    3. Reject a model that is clearly worse than one of the best former champions.
    """
    if champion is None:
        return promotion.decide_first(trained.metrics, trained.baseline)
    known = _decide_by_labels(champion, prepared)
    if known is not None:
        return known
    try:
        duel = _duel(model, prepared, champion)
    except (MlError, BadInput) as error:
        reason = f"model {champion.number}, the former champion, cannot be compared: {error}"
        return Decision(True, reason)
    decision = promotion.decide_against(duel)
    gaps = paired_differences(duel.former, duel.candidate, duel.labels, duel.prior, duel.groups)
    decision = replace(decision, figures={**decision.figures, "differences": gaps})
    if not decision.is_promoted:
        return decision
    return _decide_by_former(model, prepared) or decision


def _decide_by_former(model: TrainedModel, prepared: Prepared) -> Decision | None:
    """Compare with the best former champions; one that cannot be read is left out."""
    duels = []
    for former in former_champions(prepared.library):
        try:
            duels.append(_duel(model, prepared, former))
        except (MlError, BadInput) as error:
            logger.warning("%s cannot be compared with a new model: %s", former, error)
    return promotion.decide_against_former(duels)


def _duel(model: TrainedModel, prepared: Prepared, former: ModelVersion) -> Duel:
    """Predict the audit tracks that neither model was trained on, with both.

    Raises MlError or BadInput if the files of the earlier model cannot be read.
    """
    earlier = TrainedModel.load(models.model_folder_of(former), former.sha256)
    its_snapshot = snapshots.load(former.run.snapshot)
    learnt_from = its_snapshot.track_ids[~its_snapshot.is_audit]
    rows = prepared.audit
    rows = rows[~np.isin(prepared.frozen.track_ids[rows], learnt_from)]
    found = loop_features.located(
        prepared.library, former.run.feature_set, prepared.frozen.track_ids[rows]
    )
    rows = rows[np.isin(prepared.frozen.track_ids[rows], found.track_ids)]
    mine, its = models.in_common(former, prepared.uids)
    reference = prepared.frozen.reference.rows(rows)
    old = track_features_for(earlier.config.network, former.run.feature_set, found)
    now = model.probabilities(SelectedTracks(prepared.features, rows))[:, mine]
    return Duel(
        rival=former,
        candidate=side_of(now, model.thresholds[mine]),
        former=side_of(earlier.probabilities(old)[:, its], earlier.thresholds[its]),
        labels=LabelMatrix(reference.labels[:, mine], reference.label_mask[:, mine]),
        prior=earlier.prior[its],
        groups=prepared.frozen.groups[rows],
    )


def _decide_by_labels(champion: ModelVersion, prepared: Prepared) -> Decision | None:
    """Reject a model that has lost labels of the champion; None if it has lost none.

    Metrics compare common labels only, so they would not show what it can no longer predict.
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
        reason = f"it knows none of the {len(its)} labels of the champion"
        return Decision(False, reason, figures)
    lost = sorted(alive - mine)
    if lost:
        lost = sorted(snapshots.supported_labels(prepared.library).intersection(lost))
    if not lost:
        return None
    reason = f"it knows {len(common)} of the {len(its)} labels of the champion"
    return Decision(False, reason, {**figures, "lost": lost})
