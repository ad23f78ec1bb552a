"""Acquisition: which tracks are asked about in the next round, and why.

`rounds` ranks the queue and switches the round, `pool` gathers the candidates and what is known
about them, `explanations` puts the reason into words for the annotator.
"""

__all__ = ["explanations", "pool", "rounds"]
