"""Upkeep: pruning, sweeps of orphaned files, and backup.

`prune` removes old files and rows by the retention settings. `orphans` removes files that no
row names. `backup` saves and restores the database.
"""

__all__ = ["backup", "orphans", "prune"]
