"""The exception of this subsystem."""


class JobError(ValueError):
    """A job that does not exist or cannot do what is asked for, or a store that cannot be used."""
