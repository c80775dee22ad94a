"""What saving a picture with loss changes, and how it is told from an edit and taken back."""
