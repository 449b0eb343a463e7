"""What the runs of a confirmation show: statistics, gains, verdicts, remarks."""
