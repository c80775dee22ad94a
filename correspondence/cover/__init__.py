"""What hides a face: the network that finds it, its training and its runtime."""
