"""Colours of video: matrix, range and curve of samples, conversion to RGB and back, tone mapping of HDR."""
