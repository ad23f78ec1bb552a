"""Pages about what is learnt: snapshots, models, experiments and reports."""

__all__ = ["experiments", "models", "report_rows", "reports", "snapshots"]
