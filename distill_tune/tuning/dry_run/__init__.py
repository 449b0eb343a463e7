"""What a search will take, measured on a few steps."""
