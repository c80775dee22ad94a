"""What is done with figures once they are measured: limits, schemas of the JSON, comparison of two runs."""
