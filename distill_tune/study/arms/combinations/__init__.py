"""The method with an addition, each compared with the arm that has only the addition."""
