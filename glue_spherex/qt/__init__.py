"""The desktop: viewers, dialogs and menu entries; the only place that imports Qt."""


def setup():
    """Register the viewers and the menu entries with glue, and let interrupted jobs go on.

    Called through the entry point ``glue.plugins``.
    """
    from . import importing, menu  # noqa: F401
    from .exporting import say_failures
    from .jobs_at_start import go_on_with_jobs

    say_failures()
    go_on_with_jobs()
