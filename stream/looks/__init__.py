"""The looks of a session: the wardrobe, the editor, undo, and how the page is told of them."""
