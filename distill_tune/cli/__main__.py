"""``python -m distill_tune.cli``: the command line without its entry point."""

from distill_tune.cli import main

if __name__ == "__main__":
    main()
