"""Checkpoints: what is in one, where they are, when one is due, and those that no Ray makes."""
