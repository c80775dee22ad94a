"""Control from outside the page."""
