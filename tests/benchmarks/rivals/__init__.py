"""The same search as scripts of one's own, after the documentation of Ray Tune and of Optuna.

Networks and losses are this project's, so that all search the same; loops, data loading,
augmentation and the set-up of the search are what torch, torchvision, Ray and Optuna recommend.
Every trial goes through all of its stages. The scripts measure no collapse and save nothing.
"""
