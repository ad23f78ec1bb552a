"""Upkeep: what is removed when nobody needs it, and the backup.

`prune` removes old files and rows by rule, `orphans` removes files that no row names, `backup`
saves and restores the database.
"""

__all__ = ["backup", "orphans", "prune"]
