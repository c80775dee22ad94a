"""Recorded clips: edit, reference, smooth and animate, and their reports."""
