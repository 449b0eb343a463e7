"""Ray and Optuna: which trials run, where, how long. Knows no loss."""
