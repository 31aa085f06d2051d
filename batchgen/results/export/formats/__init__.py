"""Formats of data sets, by name."""
