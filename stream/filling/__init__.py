"""Fill jobs beside the live path: the queue, the worker process, and what it is asked for."""
