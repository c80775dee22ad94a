"""Training of the cover segmenter: real and drawn covers on faces, pairs, the held-out table, export."""
