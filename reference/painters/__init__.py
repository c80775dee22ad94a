"""Functions that draw the presets: antialiased shapes, make-up and face paint."""
