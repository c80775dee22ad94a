"""Training of the cover network: real and drawn covers on faces, pairs, the held-out table, export."""
