"""The study of 2019, reproduced on simulated libraries and on one's own.

Only the commands of the study and the demo import it. `design` simulates the library of the
study, `trials` lists the runs, `runner` and `store` run and store them (`compact` and `side`
are what is stored), `experiments` compares recipes on one library, and `study_report`,
`library_report`, `story`, `text`, `charts` and `files` write the reports.
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
