"""Colours of video: matrix, range and curve of its samples, RGB from frames and back, HDR toned down."""
