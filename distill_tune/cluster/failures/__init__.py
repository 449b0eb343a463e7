"""What went wrong on a cluster, in a word and a line."""
