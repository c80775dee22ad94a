"""Looks: lists of layers drawn on a still, and what of a look another face can wear."""
