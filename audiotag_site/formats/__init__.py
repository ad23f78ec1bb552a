"""Formats of dates and times per language, for Django and its admin site."""
