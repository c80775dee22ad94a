"""Control of a session from outside the page."""
