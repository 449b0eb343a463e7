"""Search with Ray and Optuna: which trials run, where and for how long. Knows no loss."""
