"""Parts and classes in the tree of an image folder."""
