"""The database half of the loop: one package a stage, in the order of the data.

`desk` joins the stages for the web. Below it, from top to bottom, each stage knows only those
under it: `upkeep` and `demo`; `acquisition` and `retraining`; `predictions`; `registry`;
`datasets`, `consistency` and `exporting`; `importing`; `events`; `serving`; `library` and
`features`. Each package names its public modules in `__all__`; the others are its own affair.
"""

__all__ = [
    "acquisition",
    "consistency",
    "datasets",
    "demo",
    "desk",
    "events",
    "exporting",
    "features",
    "importing",
    "library",
    "predictions",
    "registry",
    "retraining",
    "serving",
    "upkeep",
]
