"""Why a spectrum could not be saved, said in a window; glue's dialog for saving says nothing."""

from glue.config import data_exporter
from glue_qt.utils import messagebox_on_error

from ..plugin.exporters import EXPORTERS


def say_failures():
    """Let the exporters of spectra show a message when they fail."""
    ours = set(EXPORTERS.values())
    for number, exporter in enumerate(data_exporter.members):
        if exporter.function in ours:
            told = messagebox_on_error("The spectrum cannot be saved")(exporter.function)
            data_exporter.members[number] = exporter._replace(function=told)
