"""Edits: finding what changed, placing an edited picture on its reference, objects, and editing by words."""
