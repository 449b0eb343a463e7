"""YAML files as plain data with source positions."""
