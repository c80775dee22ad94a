"""Sessions on disk: a SQLite database and picture files in one folder."""
