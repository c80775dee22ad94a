"""Editing by words: the model in a process of its own, and a session's edits with it."""
