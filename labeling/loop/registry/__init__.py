"""The model registry: runs, models, their evaluation, and which one is champion.

`models` registers runs and models and knows the champion, `promotion` decides whether a new
model replaces it, `evaluation_records` keeps what each run was measured on, `recipes` lists the
ways to train, and `run_groups` ties together runs that are compared.
"""

__all__ = ["evaluation_records", "models", "promotion", "recipes", "run_groups"]
