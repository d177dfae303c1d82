"""Helpers for training on ImageNet at its real size, a folder (a room) for each step.

Nothing is imported here: ``from imnetlib import recordio`` brings in that module and what it needs.
"""

__version__ = "0.1.0"
