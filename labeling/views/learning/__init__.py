"""Pages about what is learnt: snapshots, models, recipes and reports."""

__all__ = ["models", "recipes", "report_rows", "reports", "snapshots"]
