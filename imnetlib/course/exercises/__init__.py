"""The exercises at the end of each chapter: what they ask for, the common slips, the check.

A number, a choice or a function is judged by what the library computes, within the digits that the
chapter prints. A hint names a slip and never the answer. ``kinds`` holds what an exercise is,
``slips`` and ``remarks`` what is said of a wrong number and a wrong result, and four modules the
exercises, in the order of the chapters.
"""

from imnetlib.course.exercises.checking import EXERCISES, check

__all__ = ["EXERCISES", "check"]
