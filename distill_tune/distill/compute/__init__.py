"""What the steps of a trial compute with: devices, precision, random numbers, batches."""
