"""What a study has on disk: its log, and what the log adds up to. Needs no torch and no Ray."""
