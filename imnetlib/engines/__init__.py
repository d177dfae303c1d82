"""Frameworks that train: each folder has the same modules and the same function names."""
