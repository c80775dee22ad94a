"""What benchmarks of streams share: carriers of an edit over passes, and peers that talk to a server."""
