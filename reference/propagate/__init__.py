"""One stream from frame to frame: the propagator, its outfit and its results."""
