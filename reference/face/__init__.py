"""What the reference package needs to know of a face: its parts, its pose, and its worth as a reference."""
