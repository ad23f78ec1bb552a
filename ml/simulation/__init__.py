"""Simulated libraries: tracks, curators with known criteria, and their sound.

`library` draws tracks and labels, `answers` the curators' answers, `windows` features without
sound, `crowds` people whose accuracy is known, `synthesis` the sound itself (`genre_loops`,
`instruments`).
"""

__all__ = ["answers", "crowds", "library", "synthesis", "windows"]
