"""Acquisition: the tracks of the next round, and the reason for each of them.

`rounds` ranks the queue and replaces the live round. `pool` collects the candidates with their
features and probabilities. `explanations` puts the reasons into words for the annotator.
"""

__all__ = ["explanations", "pool", "rounds"]
