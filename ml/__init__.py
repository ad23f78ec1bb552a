"""The arithmetic half of the loop: arrays, files of arrays and paths in, arrays out.

It knows no Django, no Celery and no database.
"""
