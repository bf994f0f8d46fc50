"""The exception of this subsystem."""


class PhotometryError(ValueError):
    """Input that cannot be measured, or an engine that cannot be used."""
