"""Fill jobs beside the live path: their queue, their worker process and their requests."""
