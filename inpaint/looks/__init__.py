"""Looks of the whole picture, learned from one edited picture: inputs, network, training, and the fill."""
