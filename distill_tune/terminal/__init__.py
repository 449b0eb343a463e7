"""What a terminal shows: tables, live views, lines."""
