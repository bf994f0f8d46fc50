"""glue without Qt: the loader of spectra. Works in glue-jupyter and jdaviz as well."""


def setup():
    """Register with glue; called through the entry point ``glue.plugins``."""
    from . import loader  # noqa: F401
