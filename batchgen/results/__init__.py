"""Everything that only reads a run folder."""
