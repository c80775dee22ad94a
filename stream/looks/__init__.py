"""The looks of a session: the wardrobe, the editor, undo, and their description for the page."""
