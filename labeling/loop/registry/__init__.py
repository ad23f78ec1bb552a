"""Model registry: training runs, models, their evaluation and the champion.

`models` registers runs and models and knows the champion. `promotion` decides whether a new
model replaces it, `former_champions` names earlier models that it is compared with.
`evaluation_records` stores the record of each evaluation. `recipes` turns
recipes into selections and configurations, `run_groups` links runs that are compared, and
`trust` names the labels on which a model is better than the baseline.
"""

__all__ = [
    "evaluation_records",
    "former_champions",
    "models",
    "promotion",
    "recipes",
    "run_groups",
    "trust",
]
