"""Label consistency: `agreement` of annotators, label `aggregation` and `drift`."""

__all__ = ["aggregation", "agreement", "drift"]
