"""Import: a catalogue becomes tracks, labels and the legacy answers of its annotators.

`catalogue` is the way in: options, preview and the run of an uploaded file. `csv` reads the
file, `run` applies it in short transactions under `lock`, `labels`, `tracks` and `answers`
write their rows, `audio` finds the sound files, and `split_groups` keeps tracks that belong
together on one side of every split. `undo` takes an import back.
"""

__all__ = ["audio", "catalogue", "csv", "split_groups", "undo"]
