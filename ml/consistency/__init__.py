"""Label consistency: `agreement` of annotators, `repeats`, `consensus` and `drift`.

`aggregation` has votes and the one-coin model of each label, `facet_consensus` the model of a
whole facet (`categorical`, `counted_sets` or `label_by_label`, on the `overlap`), and
`reliability` what it says about a person.
"""

__all__ = [
    "aggregation",
    "agreement",
    "consensus",
    "drift",
    "facet_consensus",
    "overlap",
    "reliability",
    "repeats",
]
