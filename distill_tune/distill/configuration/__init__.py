"""Parts of a trial's configuration, and the check that it fits its images."""
