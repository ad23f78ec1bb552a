"""Pages to look things up: libraries, tracks, consistency and health."""

__all__ = ["consistency", "health", "home", "track", "tracks"]
