"""Ray clusters: their nodes, tasks and failures."""
