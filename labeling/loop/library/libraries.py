"""Libraries: creation with facets and guideline 0, and their annotators."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.text import slugify

from labeling.errors import BadInput
from labeling.models import Annotator, Facet, GuidelineVersion, Library
from labeling.names import name_key, tidy_name

#: The facets every library starts with: name, fewest labels, most labels (0: any number).
FACETS = (("genre", 0, 0), ("mood", 0, 0), ("instrumentation", 0, 0), ("category", 0, 0))
ANNOTATOR_NAME_LIMIT = 150


def get_or_create_library(
    slug: str, *, name: str = "", is_synthetic: bool = False
) -> tuple[Library, bool]:
    """Return the library of this slug, created with its facets and guideline 0 if new."""
    if slug != slugify(slug) or not slug:
        raise BadInput(f"{slug!r} is not a library name: use small letters, digits and hyphens")
    with transaction.atomic():
        library, is_new = Library.objects.get_or_create(
            slug=slug,
            defaults={
                "name": name or slug.replace("-", " ").capitalize(),
                "is_synthetic": is_synthetic,
            },
        )
        if is_new:
            for position, (facet, fewest, most) in enumerate(FACETS):
                Facet.objects.create(
                    library=library,
                    name=facet,
                    name_key=name_key(facet),
                    position=position,
                    min_labels=fewest,
                    max_labels=most,
                )
            GuidelineVersion.objects.create(
                library=library, number=0, text="", published_at=timezone.now()
            )
    return library, is_new


def guideline_in_force(library: Library) -> GuidelineVersion:
    """Return the newest published guideline (number 0, unknown, if there is no other)."""
    return library.guidelines.filter(published_at__isnull=False).order_by("-number")[0]


def unknown_guideline(library: Library) -> GuidelineVersion:
    """Return guideline 0, the guideline of imported answers."""
    return library.guidelines.get(number=0)


def annotator_of(library: Library, user: User) -> Annotator:
    """Return the annotator of this user in this library, created on first use."""
    found = Annotator.objects.filter(library=library, user=user).first()
    if found is not None:
        found.library = library  # known: not read again
        return found
    name = _free_name(library, user)
    annotator, is_new = Annotator.objects.get_or_create(
        library=library, user=user, defaults={"name": name, "name_key": name_key(name)}
    )
    if is_new:
        namesake = _namesakes(library).filter(name_key=name_key(user.get_username())).first()
        if namesake is not None:
            _link(namesake, annotator)
    return annotator


def _free_name(library: Library, user: User) -> str:
    """Return the user's name, with a number if the name is already taken here."""
    name = tidy_name(user.get_username())
    number = 0
    while True:
        suffix = f" ({user.pk}-{number})" if number > 1 else f" ({user.pk})" if number else ""
        free = _cut(name, suffix)
        taken = Annotator.objects.filter(library=library, name_key=name_key(free))
        if name_key(free) and not taken.exists():
            return free
        number += 1


def _cut(name: str, suffix: str) -> str:
    """Return the name with its suffix, shortened until both it and its key fit."""
    while max(len(name + suffix), len(name_key(name + suffix))) > ANNOTATOR_NAME_LIMIT:
        name = name[:-1]
    return name + suffix


def _namesakes(library: Library) -> QuerySet[Annotator]:
    """Return the legacy annotators that are not linked to a person yet."""
    return Annotator.objects.filter(
        library=library, kind=Annotator.Kind.LEGACY, user=None, same_as=None
    )


def _link(source: Annotator, person: Annotator) -> None:
    """Link a legacy annotator to a person; their answers stay separate."""
    source.same_as = person
    source.save(update_fields=["same_as"])


def link_namesakes(library: Library, annotator_ids: Iterable[int]) -> list[dict[str, str]]:
    """Link these legacy annotators to users of the same name; return all that are linked."""
    ids = list(annotator_ids)
    sources = {one.name_key: one for one in _namesakes(library).filter(pk__in=ids)}
    if sources:
        people = Annotator.objects.filter(library=library, user__isnull=False)
        for person in people.select_related("user").order_by("id"):
            name = person.user.get_username() if person.user else ""
            source = sources.pop(name_key(name), None)
            if source is not None:
                _link(source, person)
    linked = Annotator.objects.filter(pk__in=ids, same_as__isnull=False).order_by("id")
    pairs = linked.values_list("name", "same_as__name")
    return [{"annotator": name, "same_as": person} for name, person in pairs]
