"""The database and web half of the loop. It never imports code that decodes audio or trains."""
