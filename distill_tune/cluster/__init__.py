"""Ray's tasks and what becomes of them: work, failures, the words of lost processes."""
