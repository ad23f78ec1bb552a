"""The API for programs and for the annotation page: thin, one call of the loop per request."""
