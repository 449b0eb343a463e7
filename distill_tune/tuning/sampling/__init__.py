"""Proposals: one Optuna study per backbone, and its records for the Optuna dashboard."""
