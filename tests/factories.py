"""Plain functions that make rows, with defaults, and a small cast of annotators."""

from __future__ import annotations

import itertools

from django.contrib.auth.models import User

from labeling.loop.library import libraries
from labeling.models import Annotator, Facet, Label, Library, Membership, Track
from labeling.names import name_key
from ml.metrics.splits import track_random_key

_number = itertools.count(1)


def make_library(slug="", **over) -> Library:
    library, _ = libraries.get_or_create_library(slug or f"lib-{next(_number)}")
    for field, value in over.items():
        setattr(library, field, value)
    library.save()
    return library


def make_user(name="", *, library=None, role="annotator", **over) -> User:
    name = name or f"user{next(_number)}"
    user = User.objects.create_user(name, password="a long enough password", **over)
    if library is not None:
        Membership.objects.create(library=library, user=user, role=role)
    return user


def make_annotator(library, name="", *, kind="person", user=None) -> Annotator:
    name = name or f"annotator {next(_number)}"
    return Annotator.objects.create(
        library=library, name=name, name_key=name_key(name), kind=kind, user=user
    )


def make_labels(library, facet="genre", names=("Ambient", "Drone", "Rock")) -> list[Label]:
    row = Facet.objects.get(library=library, name_key=name_key(facet))
    return [
        Label.objects.create(facet=row, name=name, name_key=name_key(name), position=position)
        for position, name in enumerate(names)
    ]


def make_track(library, key="", **over) -> Track:
    number = next(_number)
    key = key or f"track{number}.mp3"
    over.setdefault("random_key", track_random_key(str(library.uid), key))
    over.setdefault("split_group", f"group-{number}")
    return Track.objects.create(library=library, key=key, **over)
