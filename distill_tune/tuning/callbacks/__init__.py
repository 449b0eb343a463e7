"""What Ray tells the driver while trials run."""
