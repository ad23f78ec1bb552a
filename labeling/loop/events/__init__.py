"""Recorded answers: append-only events, and the state that follows from them.

`record` writes an answer or takes it back, `answers` turns names into rows and back, `replay`
computes the current state from the events, `current_answers` stores that result, and
`alternate_mixes` carries an answer over to other mixes of a track.
"""

__all__ = ["alternate_mixes", "answers", "current_answers", "record", "replay"]
