"""Evaluation of a model on tracks that it has not seen.

`measurement` and `cross_validation` make evaluation records (`record`), `report` computes a
report from one (`curves`, `diagnosis`, `resampling`), `comparison` and `network_comparison`
compare models, `charts` and `pages` draw and write the results.
"""

__all__ = [
    "charts",
    "comparison",
    "cross_validation",
    "curves",
    "diagnosis",
    "measurement",
    "network_comparison",
    "pages",
    "record",
    "report",
    "resampling",
]
