"""Training: from labelled tracks to a calibrated model, and its predictions.

`fit` trains, `trained_model` and `weights` hold and store the result, `prediction` scores a
pool and `prediction_store` keeps the scores. `recipes` and `selection_rules` are the named ways
to train, and `choice_effects` explains what their options do. `out_of_fold` measures a training
on its own tracks. `task`, `holdout`, `checks`, `losses`, `window_split` and `cardinality` are
parts of a training.
"""

__all__ = [
    "cardinality",
    "choice_effects",
    "fit",
    "losses",
    "out_of_fold",
    "prediction",
    "prediction_store",
    "recipes",
    "selection_rules",
    "trained_model",
    "weights",
]
