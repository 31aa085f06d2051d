"""RunComfy."""
