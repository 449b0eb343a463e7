"""What is drawn for training: how many images of each class, and images without labels."""
