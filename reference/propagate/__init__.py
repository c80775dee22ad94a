"""Carrying an edit from frame to frame of one stream: the propagator, its outfit and its results."""
