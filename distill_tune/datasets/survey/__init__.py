"""Survey of a data set: what its images are, and what is wrong with them."""
