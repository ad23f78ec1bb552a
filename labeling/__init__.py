"""The database and web half of the loop. Never imports what decodes audio or trains."""
