"""Consistency: how far annotators agree with each other, with themselves and over time.

`rollups` counts new answers by day and by pair, `independent` and `answer_matrices` read the
answers that count, `label_rates` reads the counts, `agreement` and `drift` compute the figures,
`cache` stores them, `timeline` shows them by month, and `criteria_changes` keeps the days from
which an annotator applies different criteria.
"""

__all__ = [
    "agreement",
    "cache",
    "criteria_changes",
    "drift",
    "independent",
    "label_rates",
    "rollups",
    "timeline",
]
