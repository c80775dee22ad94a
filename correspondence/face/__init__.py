"""The face in a picture: landmarks and their smoothing, the face mesh, person mask and shoulders."""
