"""Libraries, their members, guideline versions and taxonomies.

`libraries` creates a library and its annotators, `members` says who belongs to it in which
role, `guidelines` publishes the criteria that people label by, `taxonomy` finds, renames and
merges labels, `taxonomy_preview` shows what such a change would affect, and `withdrawing` takes
rows of an undone import out of use. `weighing` says whose answers count first and how many
labels a facet allows, where answers are combined.
"""

__all__ = [
    "guidelines",
    "libraries",
    "members",
    "taxonomy",
    "taxonomy_preview",
    "weighing",
    "withdrawing",
]
