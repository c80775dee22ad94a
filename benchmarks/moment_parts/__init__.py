"""The parts of `livery bench moments`, and what they share: clips, sheets, and rows."""
