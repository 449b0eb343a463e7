"""Image files and arrays: reading, value ranges, duplicates."""
