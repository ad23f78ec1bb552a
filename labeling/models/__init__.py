"""The database, one module per group of tables.

Annotation, Answer and Judgement are append-only: triggers refuse UPDATE and DELETE on both
engines. CurrentAnswer and the roll-ups are projections of them and can always be rebuilt.
"""

from __future__ import annotations

from labeling.models.annotation import Annotation, Answer, CurrentAnswer, Judgement
from labeling.models.catalogue import AudioFile, AudioRoot, Library, Membership, Track
from labeling.models.dataset import FeatureRow, FeatureSet, Snapshot
from labeling.models.evaluation import Evaluation
from labeling.models.imports import ImportBatch, ImportedChange, ImportMapping
from labeling.models.jobs import Job, JobChunk, WorkerBeat
from labeling.models.people import Annotator, EraCut, GuidelineVersion, Receipt
from labeling.models.queue import Presentation, QueueItem, Round
from labeling.models.rollups import (
    AgreementFigures,
    AnswerDay,
    DirtyKey,
    LabelDay,
    PairCell,
)
from labeling.models.taxonomy import (
    Facet,
    Label,
    LabelAlias,
    LabelSet,
    LabelSetMember,
    TaxonomyChange,
)
from labeling.models.training import (
    ModelVersion,
    PredictionSet,
    PromotionEvent,
    RunGroup,
    TrainingRun,
)

__all__ = [
    "AgreementFigures",
    "Annotation",
    "Annotator",
    "Answer",
    "AnswerDay",
    "AudioFile",
    "AudioRoot",
    "CurrentAnswer",
    "DirtyKey",
    "EraCut",
    "Evaluation",
    "Facet",
    "FeatureRow",
    "FeatureSet",
    "GuidelineVersion",
    "ImportBatch",
    "ImportMapping",
    "ImportedChange",
    "Job",
    "JobChunk",
    "Judgement",
    "Label",
    "LabelAlias",
    "LabelDay",
    "LabelSet",
    "LabelSetMember",
    "Library",
    "Membership",
    "ModelVersion",
    "PairCell",
    "PredictionSet",
    "Presentation",
    "PromotionEvent",
    "QueueItem",
    "Receipt",
    "Round",
    "RunGroup",
    "Snapshot",
    "TaxonomyChange",
    "Track",
    "TrainingRun",
    "WorkerBeat",
]
