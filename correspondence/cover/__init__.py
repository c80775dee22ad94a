"""The cover: what hides a face. The network that finds it, and its runtime."""
