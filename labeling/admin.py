"""The admin site: every model, to look things up and to correct what people may correct.

Answers, presentations, trainings and promotions are evidence: their pages are read-only for
everybody. Nothing can be deleted here; the loop has its own ways to retire things.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin, TabularInline, register
from django.db import models
from django.http import HttpRequest

from labeling.models import (
    AgreementFigures,
    Annotation,
    Annotator,
    Answer,
    AnswerDay,
    AudioFile,
    AudioRoot,
    CurrentAnswer,
    DirtyKey,
    EraCut,
    Evaluation,
    Facet,
    FeatureRow,
    FeatureSet,
    GuidelineVersion,
    ImportBatch,
    ImportedChange,
    ImportMapping,
    Job,
    JobChunk,
    Judgement,
    Label,
    LabelAlias,
    LabelDay,
    LabelSet,
    LabelSetMember,
    Library,
    Membership,
    ModelVersion,
    PairCell,
    PredictionSet,
    Presentation,
    PromotionEvent,
    QueueItem,
    Receipt,
    Round,
    RunGroup,
    Snapshot,
    TaxonomyChange,
    Track,
    TrainingRun,
    WorkerBeat,
)

admin.site.site_header = "audiotag"
admin.site.site_title = "audiotag"
admin.site.index_title = "Administration"


class Careful(ModelAdmin):
    """The base of all pages: nothing is deleted, and big tables stay fast."""

    show_full_result_count = False
    list_per_page = 50

    def get_list_select_related(self, request: HttpRequest) -> Any:
        """Follow the foreign keys that the list shows, so that a page is one query."""
        names = [str(name) for name in self.list_display]
        fields = {one.name: one for one in self.opts.get_fields() if hasattr(one, "attname")}
        return [name for name in names if getattr(fields.get(name), "is_relation", False)]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OfOneLibrary(Careful):
    """Rows that stay in their library: moving one would break all that refers to it."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fixed = super().get_readonly_fields(request, obj)
        return fixed if obj is None else (*fixed, "library")


class ReadOnlyAdmin(Careful):
    """Records of what happened: read-only."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyInline(TabularInline):
    """Read-only rows below the row they belong to."""

    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# --- the library and its people -----------------------------------------------------------
class MembershipInline(TabularInline):
    """Memberships: who may do what in a library; they can be removed."""

    model = Membership
    extra = 0
    raw_id_fields = ("user",)


@register(Library)
class LibraryAdmin(Careful):
    list_display = ("name", "slug", "network", "features", "is_synthetic", "created_at")
    list_filter = ("is_synthetic",)
    search_fields = ("name", "slug")
    readonly_fields = ("uid", "created_at")
    inlines = (MembershipInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a command creates libraries, with their facets and guideline 0."""
        return False


@register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("user", "library", "role")
    list_filter = ("role", "library")
    list_select_related = ("user", "library")
    search_fields = ("user__username", "library__slug")
    raw_id_fields = ("user", "library")


@register(Annotator)
class AnnotatorAdmin(OfOneLibrary):
    list_display = ("name", "library", "kind", "user", "served", "created_at")
    list_filter = ("kind", "library")
    search_fields = ("name", "user__username")
    raw_id_fields = ("library", "user", "same_as")
    readonly_fields = ("uid", "name_key", "served", "created_at")


@register(EraCut)
class EraCutAdmin(Careful):
    list_display = ("annotator", "at", "facet", "label", "kind", "reason")
    list_filter = ("kind", "annotator__library")
    search_fields = ("annotator__name", "reason")
    raw_id_fields = ("annotator", "facet", "label", "by")


@register(GuidelineVersion)
class GuidelineVersionAdmin(ReadOnlyAdmin):
    list_display = ("library", "number", "published_at", "by")
    list_filter = ("library",)
    search_fields = ("text",)


@register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    list_display = ("annotator", "guideline", "acknowledged_at")
    list_filter = ("annotator__library",)
    search_fields = ("annotator__name",)


# --- the catalogue ------------------------------------------------------------------------
@register(Track)
class TrackAdmin(OfOneLibrary):
    list_display = ("key", "library", "title", "state", "is_audit", "split_group")
    list_filter = ("library", "state", "is_audit")
    search_fields = ("key", "title", "album", "isrc")
    raw_id_fields = ("library", "audio")
    # Group and side are decided on import and hold every split together.
    readonly_fields = ("uid", "key", "split_group", "is_audit", "random_key", "created_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@register(AudioRoot)
class AudioRootAdmin(Careful):
    list_display = ("name", "path")
    search_fields = ("name", "path")


@register(AudioFile)
class AudioFileAdmin(ReadOnlyAdmin):
    list_display = ("relative_path", "root", "container", "length_s", "probed_at", "warning")
    list_filter = ("root", "container")
    search_fields = ("relative_path", "sha256")


@register(ImportBatch)
class ImportBatchAdmin(ReadOnlyAdmin):
    list_display = ("file_name", "library", "is_dry_run", "by", "created_at")
    list_filter = ("library", "is_dry_run")
    search_fields = ("file_name",)


@register(ImportMapping)
class ImportMappingAdmin(Careful):
    list_display = ("name", "library", "updated_at")
    list_filter = ("library",)
    search_fields = ("name",)
    raw_id_fields = ("library",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("labeling.delete_importmapping"))


# --- the taxonomy -------------------------------------------------------------------------
@register(Facet)
class FacetAdmin(Careful):
    list_display = ("name", "library", "position", "min_labels", "max_labels")
    list_filter = ("library",)
    search_fields = ("name",)
    raw_id_fields = ("library",)
    readonly_fields = ("uid", "name_key")


@register(Label)
class LabelAdmin(Careful):
    """Labels. The Taxonomy page changes name, merge and offer, and can undo them."""

    list_display = ("name", "facet", "hotkey", "is_active", "merged_into", "position")
    list_filter = ("facet__library", "facet", "is_active")
    search_fields = ("name", "definition")
    raw_id_fields = ("parent",)
    readonly_fields = (
        *("uid", "facet", "name", "name_key", "is_active", "merged_into", "created_at"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@register(LabelAlias)
class LabelAliasAdmin(Careful):
    list_display = ("text", "label", "facet", "vocabulary")
    list_filter = ("facet__library", "vocabulary")
    search_fields = ("text", "label__name")
    raw_id_fields = ("facet", "label")
    readonly_fields = ("text_key",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


class LabelSetMemberInline(ReadOnlyInline):
    model = LabelSetMember


@register(LabelSet)
class LabelSetAdmin(ReadOnlyAdmin):
    list_display = ("facet", "number", "created_at")
    list_filter = ("facet__library",)
    search_fields = ("hash",)
    inlines = (LabelSetMemberInline,)


@register(TaxonomyChange)
class TaxonomyChangeAdmin(ReadOnlyAdmin):
    list_display = ("label", "kind", "by", "at", "undone_at")
    list_filter = ("kind", "label__facet__library")
    search_fields = ("label__name",)


# --- what was answered --------------------------------------------------------------------
class AnswerInline(ReadOnlyInline):
    model = Answer
    fields = ("facet", "label_set", "is_complete")


class JudgementInline(ReadOnlyInline):
    model = Judgement
    fields = ("label", "value")


@register(Annotation)
class AnnotationAdmin(ReadOnlyAdmin):
    list_display = ("id", "track", "annotator", "kind", "stratum", "answered_at")
    list_filter = ("library", "kind", "stratum")
    search_fields = ("uid", "track__key", "annotator__name")
    inlines = (AnswerInline,)


@register(Answer)
class AnswerAdmin(ReadOnlyAdmin):
    list_display = ("id", "annotation", "facet", "label_set", "is_complete")
    list_filter = ("facet", "is_complete")
    search_fields = ("annotation__track__key",)
    inlines = (JudgementInline,)


@register(Judgement)
class JudgementAdmin(ReadOnlyAdmin):
    list_display = ("id", "answer", "label", "value")
    list_filter = ("value",)
    search_fields = ("label__name",)


@register(CurrentAnswer)
class CurrentAnswerAdmin(ReadOnlyAdmin):
    list_display = ("annotator", "track", "facet", "answer", "version")
    list_filter = ("facet",)
    search_fields = ("track__key", "annotator__name")


# --- the queue ----------------------------------------------------------------------------
@register(Round)
class RoundAdmin(ReadOnlyAdmin):
    list_display = ("library", "number", "state", "strategy", "model_version", "live_at")
    list_filter = ("library", "state", "strategy")


@register(QueueItem)
class QueueItemAdmin(ReadOnlyAdmin):
    list_display = ("track", "round", "stratum", "rank", "score", "remaining", "needed")
    list_filter = ("stratum", "round__library")
    search_fields = ("track__key",)


@register(Presentation)
class PresentationAdmin(ReadOnlyAdmin):
    list_display = ("track", "annotator", "stratum", "outcome", "presented_at", "closed_at")
    list_filter = ("outcome", "stratum", "annotator__library")
    search_fields = ("token", "track__key", "annotator__name")


# --- learning -----------------------------------------------------------------------------
@register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_filter = ("library",)
    list_display = ("library", "number", "tracks", "annotations", "by", "taken_at")
    search_fields = ("hash",)


@register(RunGroup)
class RunGroupAdmin(ReadOnlyAdmin):
    list_display = ("id", "library", "kind", "by", "created_at")
    list_filter = ("library", "kind")


@register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    list_display = ("id", "library", "network", "state", "seed", "started_at", "finished_at")
    list_filter = ("library", "network", "state")
    search_fields = ("uid", "config_hash")


@register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ("library", "number", "state", "run", "created_at")
    list_filter = ("library", "state")
    search_fields = ("uid", "sha256")


@register(PromotionEvent)
class PromotionEventAdmin(ReadOnlyAdmin):
    list_display = ("library", "kind", "model_version", "previous", "by", "at")
    list_filter = ("library", "kind")


@register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("id", "library", "kind", "state", "done", "total", "attempts", "queued_at")
    list_filter = ("library", "kind", "state")
    search_fields = ("key", "reason")


def _plain(model: type[models.Model], *shown: str, filters: tuple[str, ...] = ()) -> None:
    """Register a read-only table."""
    admin.site.register(model, ReadOnlyAdmin, list_display=shown, list_filter=filters)


_plain(FeatureSet, "name", "digest", "created_at")
_plain(FeatureRow, "audio", "feature_set", "state", "windows", "reason", filters=("state",))
_plain(PredictionSet, "model_version", "tracks", "created_at")
_plain(JobChunk, "job", "n", "state", "until", "attempts", filters=("state",))
_plain(WorkerBeat, "name", "queues", "pid", "beat_at")
_plain(ImportedChange, "batch", "track", "before", "after")
_plain(LabelSetMember, "label_set", "label")
_plain(AnswerDay, "annotator", "label_set", "day", "stratum", "n", filters=("stratum",))
_plain(LabelDay, "annotator", "label", "day", "stratum", "yes", "unsure", "no")
_plain(AgreementFigures, "library", "counted", "figures_of", "computed_at")
_plain(PairCell, "a", "b", "label", "both", "only_a", "only_b", "neither")
_plain(DirtyKey, "library", "annotator", "track", "day", filters=("library",))
_plain(Evaluation, "id", "library", "run", "side", "network", "verdict", filters=("side",))
