"""Terminal output: tables, live views, lines."""
