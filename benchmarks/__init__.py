"""Quality, latency, throughput and calibration, measured against the alternatives."""
