"""Arithmetic of label consistency: agreement, label aggregation and drift."""

__all__ = ["aggregation", "agreement", "drift"]
