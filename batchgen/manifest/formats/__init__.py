"""Readers of manifests, by suffix."""
