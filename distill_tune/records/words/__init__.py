"""Names in records, and how they are written for users."""
