"""The desktop: viewers, dialogs and menu entries; the only place that imports Qt."""


def setup():
    """Register the viewers and the menu entries with glue; called through the entry point ``glue.plugins``."""
    from . import importing, menu  # noqa: F401
    from .exporting import say_failures

    say_failures()
