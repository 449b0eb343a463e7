"""What stops a search before its last trial: the time budget, SIGTERM, and the rules of a study."""
