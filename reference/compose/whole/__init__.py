"""Composition of looks of the whole picture."""
