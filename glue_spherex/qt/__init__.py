"""The desktop: the only place that imports Qt."""
