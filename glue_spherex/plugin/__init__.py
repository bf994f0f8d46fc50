"""glue without Qt: loading and saving, flag subsets, links. Works in glue-jupyter and jdaviz as well."""


def setup():
    """Register with glue; called through the entry point ``glue.plugins``."""
    from . import (  # noqa: F401 - imported to register
        exporters,
        flag_subsets,
        image_data,
        links,
        loader,
        session,
        target_data,
        translator,
    )

    links.accept_unless_chosen()  # so that the preferences show what holds
