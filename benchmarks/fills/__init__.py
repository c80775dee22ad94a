"""What the benchmark of fills is made of: its rows, its masked cases, error measures and times."""
