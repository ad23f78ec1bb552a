"""Simulated libraries: tracks, curators with known criteria, and their sound.

`library` draws tracks and labels, `answers` the curators' answers, `windows` features without
sound, `synthesis` the sound itself (`genre_loops`, `instruments`).
"""

__all__ = ["answers", "library", "synthesis", "windows"]
