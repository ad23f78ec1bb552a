"""Evaluation: what a model is worth on tracks that it has not seen.

`measurement` and `cross_validation` make evaluation records (`record`), `report` computes a
report from one (`curves`, `diagnosis`, `resampling`), `comparison` and `network_comparison` set
models side by side, `charts` and `pages` draw and write them.
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
