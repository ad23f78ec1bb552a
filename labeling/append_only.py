"""Triggers that make the event tables append-only, on both engines.

An event that could be edited would not be evidence. The rule is in the database, so that
neither the admin, nor a shell, nor a later mistake in our own code can break it.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

#: Table -> condition on OLD under which a row may not be changed or deleted ("" = always).
GUARDED = {
    "labeling_annotation": "",
    "labeling_answer": "",
    "labeling_judgement": "",
    "labeling_labelset": "",
    "labeling_labelsetmember": "",
    "labeling_promotionevent": "",
    "labeling_guidelineversion": "OLD.published_at IS NOT NULL",
}

_POSTGRES_FUNCTION = """
CREATE OR REPLACE FUNCTION audiotag_append_only() RETURNS trigger AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: record a new event instead', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$ LANGUAGE plpgsql
"""


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Refuse UPDATE and DELETE on the guarded tables from now on."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_POSTGRES_FUNCTION)
        for table, condition in GUARDED.items():
            for action in ("UPDATE", "DELETE"):
                cursor.execute(_trigger(connection.vendor, table, action, condition))


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Remove the triggers (to reverse the migration, or to empty a test database)."""
    on_table = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for table in GUARDED:
            for action in ("UPDATE", "DELETE"):
                suffix = f" ON {table}" if on_table else ""
                cursor.execute(f"DROP TRIGGER IF EXISTS {_name(table, action)}{suffix}")


def _name(table: str, action: str) -> str:
    return f"{table}_no_{action.lower()}"


def _trigger(vendor: str, table: str, action: str, condition: str) -> str:
    name, when = _name(table, action), f" WHEN ({condition})" if condition else ""
    if vendor == "postgresql":
        return (
            f"CREATE TRIGGER {name} BEFORE {action} ON {table} FOR EACH ROW{when} "
            "EXECUTE FUNCTION audiotag_append_only()"
        )
    return (
        f"CREATE TRIGGER {name} BEFORE {action} ON {table} FOR EACH ROW{when} BEGIN "
        f"SELECT RAISE(ABORT, '{table} is append-only: record a new event instead'); END"
    )
