"""What every layer above may use: pure values and decisions, without clock, chance or I/O."""
