"""Face landmarks and their smoothing, the face mesh, and detection of the person mask and shoulders."""
