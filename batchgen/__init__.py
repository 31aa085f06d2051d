"""Run thousands of picture and video generations overnight: a manifest in, verified files out."""

__version__ = "0.1.0"
