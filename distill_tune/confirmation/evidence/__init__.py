"""Evidence from the runs of a confirmation: statistics, gains, verdicts, remarks."""
