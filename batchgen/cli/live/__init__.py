"""What a run shows while it is on."""
