"""`livery camera`: from a camera to a virtual camera, without a browser or a server."""
