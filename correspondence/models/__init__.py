"""MediaPipe's models as files, and the script that rebuilds each of them from its origin."""
