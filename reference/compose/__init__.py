"""Composing an edit on a frame: blend weights, gates, layers, rigid objects, person and backdrop."""
