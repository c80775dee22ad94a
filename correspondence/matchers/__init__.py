"""Matchers that need no network (classical, coarse and thorough) and the choice between candidates."""
