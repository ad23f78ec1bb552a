"""Pages for managers: settings, imports, guidelines, taxonomy and jobs."""

__all__ = ["guidelines", "imports", "jobs", "settings", "taxonomy"]
