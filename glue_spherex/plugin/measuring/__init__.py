"""What the measure dialog knows and does, without its window."""
