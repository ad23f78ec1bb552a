"""Serializers: the bodies of requests and answers."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from labeling.models import Job, ModelVersion, Presentation, Track
from labeling.models.queue import Stratum

_NAMES = {
    "oneOf": [
        {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        {"type": "array", "items": {"type": "string"}},
    ]
}
MAX_NAMES, MAX_NAME_LENGTH = 200, 120


@extend_schema_field(_NAMES)
class NamesField(serializers.Field[Any, Any, Any, Any]):
    """Names of labels: `{facet: [names]}`, or a flat list while names are unique."""

    def to_internal_value(self, data: Any) -> Any:
        lists = list(data.values()) if isinstance(data, dict) else [data]
        if not all(isinstance(names, list) for names in lists):
            raise serializers.ValidationError("send {facet: [names]} or a list of names")
        names = [name for names in lists for name in names]
        if len(names) > MAX_NAMES or not all(
            isinstance(name, str) and len(name) <= MAX_NAME_LENGTH for name in names
        ):
            raise serializers.ValidationError(
                f"at most {MAX_NAMES} names of at most {MAX_NAME_LENGTH} characters each"
            )
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_serializer(component_name="Next")
class NextRequest(serializers.Serializer[Any]):
    """The number of tracks to lease beyond the one to label now."""

    ahead = serializers.IntegerField(min_value=0, max_value=3, default=0)


@extend_schema_serializer(component_name="Presentation")
class PresentationRequest(serializers.Serializer[Any]):
    """One of the caller's presentations."""

    presentation = serializers.UUIDField()


@extend_schema_serializer(component_name="Skip")
class SkipRequest(PresentationRequest):
    """A skipped presentation, and why."""

    reason = serializers.CharField(max_length=200)


@extend_schema_serializer(component_name="Answer")
class AnswerRequest(serializers.Serializer[Any]):
    """One answer on one track."""

    track = serializers.IntegerField(min_value=1)
    labels = NamesField(default=dict)
    unsure = NamesField(default=dict)
    negative = NamesField(default=dict)
    completed_facets = serializers.ListField(
        child=serializers.CharField(max_length=80), required=False, allow_null=True
    )
    presentation = serializers.UUIDField(required=False, allow_null=True)
    answered_at = serializers.DateTimeField(required=False, allow_null=True)
    idempotency_key = serializers.CharField(max_length=100, required=False)
    expected_version = serializers.IntegerField(
        min_value=0,
        max_value=2**31 - 1,
        required=False,
        allow_null=True,
        help_text=(
            "The number of your events on the track when you read it; 0 with a presentation: "
            "no answer since it was served. A different number is a conflict."
        ),
    )
    decision_time_s = serializers.FloatField(
        min_value=0, max_value=86_400, required=False, allow_null=True
    )
    note = serializers.CharField(max_length=2_000, required=False, allow_blank=True, default="")


class AnswerBody(serializers.Serializer[Any]):
    """The state after an answer."""

    annotation = serializers.UUIDField()
    track = serializers.IntegerField()
    kind = serializers.CharField()
    version = serializers.IntegerField()
    labels = NamesField()
    unsure = NamesField()
    negative = NamesField()
    completed_facets = serializers.ListField(child=serializers.CharField())


class TrackBody(serializers.ModelSerializer[Track]):
    """A track as the lists show it."""

    duration_s = serializers.SerializerMethodField()
    audio_url = serializers.SerializerMethodField()
    peaks_url = serializers.SerializerMethodField()

    class Meta:
        model = Track
        fields = [
            "id",
            "key",
            "title",
            "album",
            "artist",
            "composer",
            "isrc",
            "state",
            "state_reason",
            "duration_s",
            "audio_url",
            "peaks_url",
        ]

    def get_duration_s(self, track: Track) -> float | None:
        return track.audio.length_s if track.audio else None

    def get_audio_url(self, track: Track) -> str | None:
        return f"/audio/{track.library.slug}/{track.pk}/" if track.audio_id else None

    def get_peaks_url(self, track: Track) -> str | None:
        has_peaks = track.audio is not None and track.audio.peaks_file
        return f"/peaks/{track.library.slug}/{track.pk}/" if has_peaks else None


class SuggestionBody(serializers.Serializer[Any]):
    """A label that the champion suggests, with its calibrated probability."""

    facet = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    probability = serializers.FloatField()


class PresentationBody(serializers.ModelSerializer[Presentation]):
    """A track on an annotator's desk. A blind repeat looks like an audit track."""

    presentation = serializers.UUIDField(source="token")
    track = TrackBody()
    stratum = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()
    suggestions = SuggestionBody(many=True)
    lease_expires_at = serializers.DateTimeField(source="lease_until")

    class Meta:
        model = Presentation
        fields = [
            "presentation",
            "track",
            "stratum",
            "reason",
            "suggestions",
            "lease_expires_at",
        ]

    def get_stratum(self, presentation: Presentation) -> str:
        is_blind = presentation.stratum == Stratum.REPEAT
        return Stratum.AUDIT if is_blind else presentation.stratum

    def get_reason(self, presentation: Presentation) -> str:
        is_blind = presentation.stratum == Stratum.REPEAT
        return "drawn at random, to measure with" if is_blind else presentation.reason


class NextBody(PresentationBody):
    """The track to label now and those after it."""

    ahead = PresentationBody(many=True, required=False)

    class Meta(PresentationBody.Meta):
        fields = [*PresentationBody.Meta.fields, "ahead"]


class ModelBody(serializers.ModelSerializer[ModelVersion]):
    """A model version with its metrics and the baseline's."""

    network = serializers.CharField(source="run.network")

    class Meta:
        model = ModelVersion
        fields = [
            "id",
            "uid",
            "number",
            "state",
            "network",
            "metrics",
            "baseline",
            "created_at",
        ]


class JobBody(serializers.ModelSerializer[Job]):
    """A job and its progress."""

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "state",
            "done",
            "total",
            "message",
            "reason",
            "attempts",
            "cancel_requested",
            "queued_at",
            "started_at",
            "finished_at",
            "result",
        ]


class RefusalBody(serializers.Serializer[Any]):
    """One thing that is wrong, and in which field of the request, if in one."""

    field = serializers.CharField(allow_null=True)
    message = serializers.CharField()


class ErrorBody(serializers.Serializer[Any]):
    """The reasons for refusing a request."""

    errors = RefusalBody(many=True)  # type: ignore[assignment]


class LeaseBody(serializers.Serializer[Any]):
    """The time until which the open presentations are leased."""

    lease_expires_at = serializers.DateTimeField()


class SaidBody(serializers.Serializer[Any]):
    """An annotator's answer to a track: names by facet."""

    labels = NamesField()
    unsure = NamesField()
    negative = NamesField()
    completed_facets = serializers.ListField(child=serializers.CharField())


class SaidByBody(SaidBody):
    """One annotator's answer to a track, with the annotator."""

    annotator = serializers.CharField()
    kind = serializers.CharField()


class TrackDetailBody(TrackBody):
    """A track with the caller's answer; the last two fields are for curators only."""

    version = serializers.IntegerField()
    answer = SaidBody()
    answers = SaidByBody(many=True, required=False)
    suggestions = SuggestionBody(many=True, required=False)

    class Meta(TrackBody.Meta):
        fields = [*TrackBody.Meta.fields, "version", "answer", "answers", "suggestions"]


class LabelBody(serializers.Serializer[Any]):
    """A label on offer."""

    uid = serializers.UUIDField()
    name = serializers.CharField()
    definition = serializers.CharField(allow_blank=True)
    hotkey = serializers.CharField(allow_blank=True)
    aliases = serializers.ListField(child=serializers.CharField())


class FacetBody(serializers.Serializer[Any]):
    """A facet with its labels on offer; a limit of 0 or null is none."""

    facet = serializers.CharField()
    min_labels = serializers.IntegerField(allow_null=True)
    max_labels = serializers.IntegerField(allow_null=True)
    labels = LabelBody(many=True)


class Listed(serializers.Serializer[Any]):
    """A page of a list; `next` is where it goes on."""

    next = serializers.URLField(allow_null=True)


class TrackList(Listed):
    """Tracks, the first imported first."""

    results = TrackBody(many=True)


class FacetList(Listed):
    """All facets on one page."""

    results = FacetBody(many=True)


class ModelList(Listed):
    """Model versions, the newest first."""

    results = ModelBody(many=True)


class ConflictBody(serializers.Serializer[Any]):
    """Another window answered in between."""

    yours = serializers.DictField()
    stored = serializers.DictField()
    version = serializers.IntegerField()
