"""Label consistency: `agreement`, `repeats`, label `aggregation` and `drift`."""

__all__ = ["aggregation", "agreement", "drift", "repeats"]
