"""Names that break careless programs, and a library that is full of them."""

from __future__ import annotations

from labeling.loop import desk
from labeling.loop.events import record
from labeling.loop.events.answers import FacetAnswer
from labeling.loop.library import libraries
from labeling.loop.serving import leases
from labeling.models import (
    Annotation,
    Annotator,
    AudioFile,
    AudioRoot,
    Facet,
    GuidelineVersion,
    ImportBatch,
    Job,
    Label,
    LabelAlias,
    Library,
    TaxonomyChange,
)
from labeling.names import name_key
from tests import factories

SCRIPT = "<script>alert(1)</script>"
NAMES = (
    SCRIPT,
    '"><img src=x onerror=alert(2)>',
    "'-alert(3)-'",
    "</script><svg onload=alert(4)>",
    "{{ 7|add:7 }}{% debug %}",
    "\u202egnp.exe\u202d\u200f",
    "line one\nline two\r\nSet-Cookie: a=b",
    "../../../../etc/passwd",
    "é" * 130 + ".mp3",
    "=cmd|' /C calc'!A0",
    "javascript:alert(5)",
    "\ufffe\u0001\x7f",
    "&lt;b&gt;&amp;",
)
#: Text that no page may contain unescaped.
RAW = ("<script>alert", "<img src=x", "<svg onload", "14{% debug")


def hostile_library(slug: str = "lib") -> Library:
    """Return a library in which every text that people or files bring is one of the names."""
    library = factories.make_library(slug, retrain_after=0, audit_share=0)
    Library.objects.filter(pk=library.pk).update(name=SCRIPT)
    Facet.objects.filter(library=library, name="mood").update(name=SCRIPT + "m", name_key="mm")
    labels = factories.make_labels(library, "genre", [name[:120] for name in NAMES])
    Label.objects.update(definition=NAMES[1])
    for label in labels[:3]:
        LabelAlias.objects.create(
            facet=label.facet, label=label, text=SCRIPT, text_key=f"{label.pk}"
        )
    TaxonomyChange.objects.create(
        label=labels[0], kind="rename", before={"name": SCRIPT}, after={"name": NAMES[1]}
    )
    GuidelineVersion.objects.create(library=library, number=1, text="\n\n".join(NAMES))
    root = AudioRoot.objects.create(name=SCRIPT, path="/nowhere")
    for number, name in enumerate(NAMES):
        audio = AudioFile.objects.create(
            root=root, relative_path=name, container="mp3", subtype=SCRIPT, warning=name
        )
        track = factories.make_track(
            library,
            name,
            title=name,
            artist=name,
            album=name,
            composer=name,
            isrc=SCRIPT[:20],
            family=name,
            extra={name: name},
            audio=audio,
            state="ready" if number else "unreadable",
            state_reason=name,
        )
        if number % 2 == 0:  # the others are still to be served
            _say(_person(library, name), track, labels[number])
    ImportBatch.objects.create(
        library=library,
        file_name=NAMES[1],
        stored_as="none.csv",
        report={
            "errors": [{"row": 1, "column": SCRIPT, "message": NAMES[1]}],
            "rows_rejected": 1,
        },
        job=_job(library, "import", 0, "failed"),
    )
    for number, state in enumerate(("failed", "running", "done"), start=1):
        _job(library, "probe", number, state)
    return Library.objects.get(pk=library.pk)


def _job(library: Library, kind: str, number: int, state: str) -> Job:
    return Job.objects.create(
        library=library,
        kind=kind,
        key=str(number),
        state=state,
        reason=SCRIPT,
        message=NAMES[1],
        result={"x": SCRIPT},
        by=factories.make_user(f"<b>{number}{state}"),
    )


def _person(library: Library, name: str) -> Annotator:
    row, _ = Annotator.objects.get_or_create(
        library=library, name_key=name_key(name)[:150], defaults={"name": name[:150]}
    )
    return row


def _say(annotator: Annotator, track: object, label: Label) -> Annotation:
    answer = FacetAnswer(label.facet_id, {label.pk: 1}, True)
    return desk.save(
        record.Submission(
            track=track,  # type: ignore[arg-type]
            annotator=annotator,
            answers=[answer],
            note=SCRIPT + NAMES[6],
        )
    ).annotation


def own_history(library: Library, user: object) -> None:
    """Let the user have answered one track and skipped another."""
    annotator = libraries.annotator_of(library, user)  # type: ignore[arg-type]
    first, second = desk.next_tracks(annotator, ahead=1)[:2]
    label = Label.objects.filter(facet__library=library).first()
    assert label is not None
    desk.save(
        record.Submission(
            track=first.track,
            annotator=annotator,
            answers=[FacetAnswer(label.facet_id, {label.pk: 1}, True)],
            presentation=first,
            note=SCRIPT,
        )
    )
    leases.skip(second, SCRIPT)
