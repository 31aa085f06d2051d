"""Where files lie and how they get there."""
