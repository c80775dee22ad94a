"""Editing by words: the service with its model process, and the edits of a session."""
