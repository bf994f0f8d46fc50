"""What the spectrum viewer shows, without a window: states, layers, units, colours, regions, picking."""
