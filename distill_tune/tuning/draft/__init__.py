"""The draft of a study for a user's own images, with sizes and lengths that fit this machine."""
