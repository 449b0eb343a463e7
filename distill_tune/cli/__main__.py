"""Entry point of ``python -m distill_tune.cli``."""

from distill_tune.cli import main

if __name__ == "__main__":
    main()
