"""What benchmarks of matching share: the methods compared, known truth, error measures, sums over clips."""
