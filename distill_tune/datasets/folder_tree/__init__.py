"""A folder of images: which folders are parts, which are classes."""
