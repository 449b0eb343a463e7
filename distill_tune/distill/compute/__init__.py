"""Building blocks of a trial's steps: devices, precision, random numbers, batches."""
