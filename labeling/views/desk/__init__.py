"""The annotation page, its sound, and the keys of its labels."""

__all__ = ["audio", "label_keys", "page", "state"]
