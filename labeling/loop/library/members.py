"""Members of a library and their roles. A library always keeps a manager."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from labeling.errors import BadInput
from labeling.loop.library import libraries
from labeling.models import Library, Membership

Role = Membership.Role


def add_membership(library: Library, name: str, role: str) -> Membership:
    """Make an existing user a member, and an annotator of the library."""
    _check_role(role)
    user = User.objects.filter(username=name.strip()).first() if "\0" not in name else None
    if user is None:
        raise BadInput(
            f"there is no user {name.strip()!r}: an administrator makes accounts, in the "
            "administration or with `create_user`"
        )
    with transaction.atomic():
        membership, is_new = Membership.objects.get_or_create(
            user=user, library=library, defaults={"role": role}
        )
        if not is_new:
            raise BadInput(f"{user} is already a member: change the role in the list")
        libraries.annotator_of(library, user)
    return membership


def change_role(library: Library, pk: int, role: str) -> Membership:
    """Give a member another role."""
    _check_role(role)
    with transaction.atomic():
        membership = _locked(library, pk)
        if role != Role.MANAGER:
            _keep_a_manager(library, membership)
        membership.role = role
        membership.save(update_fields=["role"])
    return membership


def remove_membership(library: Library, pk: int) -> User:
    """Remove a membership; the answers of the person stay, under their name."""
    with transaction.atomic():
        membership = _locked(library, pk)
        _keep_a_manager(library, membership)
        user = membership.user
        membership.delete()
    return user


def _check_role(role: str) -> None:
    if role not in Role.values:
        raise BadInput(f"there is no role {role!r}: {', '.join(Role.values)}")


def _locked(library: Library, pk: int) -> Membership:
    """Lock the memberships of a library and return one."""
    Library.objects.select_for_update(no_key=True).get(pk=library.pk)
    membership = Membership.objects.filter(library=library, pk=pk).select_related("user")
    found = membership.first()
    if found is None:
        raise BadInput("this member has been removed: load the page again")
    return found


def _keep_a_manager(library: Library, leaving: Membership) -> None:
    managers = Membership.objects.filter(library=library, role=Role.MANAGER)
    others = managers.filter(user__is_active=True).exclude(pk=leaving.pk)
    if leaving.role == Role.MANAGER and not others.exists():
        raise BadInput(
            f"{leaving.user} is the only manager: make somebody else a manager first"
        )
