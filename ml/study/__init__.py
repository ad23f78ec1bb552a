"""The study of 2019, reproduced on simulated libraries and on one's own.

Only the study's commands and the demo import it. `design` simulates the study's library,
`trials` says what is run, `runner` and `store` run and keep the trials, `experiments` compares
recipes on one library, and `study_report`, `library_report`, `story`, `text`, `charts` and
`files` write the reports.
"""

__all__ = [
    "design",
    "experiments",
    "files",
    "library_report",
    "runner",
    "store",
    "study_report",
    "text",
    "trials",
]
