"""Ray Tune callbacks, which run in the driver while trials run."""
