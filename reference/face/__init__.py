"""A face in a picture: its parts, its pose, and its quality as a reference."""
