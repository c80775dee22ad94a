"""Files of MediaPipe's models, and the script that rebuilds them from their origin."""
