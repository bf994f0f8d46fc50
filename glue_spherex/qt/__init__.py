"""The desktop: viewers, dialogs and menu entries; the only place that imports Qt."""


def setup():
    """Register the viewers and the menu entries with glue; called through the entry point ``glue.plugins``."""
    from . import menu  # noqa: F401
