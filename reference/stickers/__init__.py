"""Stickers: pictures with transparency on places of the face, on the skin or carried by the head."""
