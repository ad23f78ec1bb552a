"""The arithmetic half of the loop: arrays, files of arrays and paths in, arrays out.

It imports no Django, no Celery and no database. `types` holds the values that all packages
share, `errors` their errors, `files` durable writing, `constants` the study's genre counts.
"""
