"""Reading of an ``.npz`` file: the names, headers and labels of its arrays."""
