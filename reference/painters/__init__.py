"""Painters of presets: antialiased shapes, make-up and face paint."""
