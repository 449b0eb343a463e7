"""YAML files as plain data that knows where everything stands."""
