"""Worker processes, without any key."""
