"""What the plugin adds to glue's windows: its viewers, the entries of the menu Plugins, and actions on layers."""

from glue_qt.app import GlueApplication
from glue_qt.config import layer_action, menubar_plugin, qt_client, startup_action
from glue_qt.utils import get_qapp, messagebox_on_error

from ..plugin.columns import kind_of
from ..plugin.links import link_all
from .arrange import arrange_viewers
from .check_up import check_up_dialog
from .coverage import sky_coverage
from .cutout_viewer import SpherexCutoutViewer
from .flag_subsets import flag_subsets_dialog
from .irsa_job import irsa_job_dialog
from .job_monitor import job_monitor
from .measure_dialog import measure_dialog
from .spectrum_viewer import SpherexSpectrumViewer
from .table_viewer import SpherexTableViewer

for viewer in (SpherexSpectrumViewer, SpherexCutoutViewer, SpherexTableViewer):
    qt_client.add(viewer)


@menubar_plugin("SPHEREx: Arrange viewers")
@messagebox_on_error("The viewers cannot be arranged")
def arrange(session, data_collection):
    """Targets left, spectrum right, cutouts below."""
    return arrange_viewers(session.application)


@menubar_plugin("SPHEREx: Measure spectra…")
@messagebox_on_error("The dialog for measuring cannot be opened")
def measure(session, data_collection):
    """Measure spectra on Level-2 images."""
    return measure_dialog(session)


@menubar_plugin("SPHEREx: Open IRSA job…")
@messagebox_on_error("The dialog for IRSA's jobs cannot be opened")
def open_irsa_job(session, data_collection):
    """Open spectra that IRSA's Spectrophotometry Tool has measured."""
    return irsa_job_dialog(session)


@menubar_plugin("SPHEREx: Job monitor")
@messagebox_on_error("The job monitor cannot be opened")
def show_jobs(session, data_collection):
    """The jobs that wait, run or have ended."""
    return job_monitor(session)


@menubar_plugin("SPHEREx: Sky coverage")
@messagebox_on_error("The sky coverage cannot be shown")
def show_sky(session, data_collection):
    """Targets, images and deep fields on the sky."""
    return sky_coverage(session)


@menubar_plugin("SPHEREx: Flag subsets…")
@messagebox_on_error("The dialog of flag subsets cannot be opened")
def flag_subsets(session, data_collection):
    """Turn quality flags into subsets."""
    return flag_subsets_dialog(session)


@menubar_plugin("SPHEREx: Link spectra, targets and images")
@messagebox_on_error("The links cannot be made")
def link(session, data_collection):
    """Make all links between SPHEREx data that are missing."""
    added = link_all(data_collection)
    session.application.statusBar().showMessage(f"SPHEREx: {len(added)} links were added.", 10_000)
    return added


@startup_action("spherex")
def arrange_at_start(session, data_collection):
    """``glue --startup=spherex FILE``: open with the viewers arranged."""
    arrange_viewers(session.application)


def _session_of(data_collection):
    """The session whose data are these; actions on layers are not told."""
    for window in get_qapp().topLevelWidgets():
        if isinstance(window, GlueApplication) and window.data_collection is data_collection:
            return window.session
    raise ValueError("There is no glue window for these data.")


def _data_of(layer):
    subsets = getattr(layer, "subsets", None)
    if subsets is not None and not hasattr(layer, "main_components"):  # a group of subsets
        ours = [subset.data for subset in subsets if kind_of(subset.data) == "spectrum"]
        return ours[0] if ours else subsets[0].data
    return getattr(layer, "data", layer)


@layer_action("SPHEREx: Arrange viewers", single=True, data=True, tooltip="Targets, spectrum and cutouts in one tab")
@messagebox_on_error("The viewers cannot be arranged")
def arrange_layer(layer, data_collection):
    """The prepared layout for a dataset."""
    return arrange_viewers(_session_of(data_collection).application, _data_of(layer))


@layer_action("Measure SPHEREx spectra…", single=True, data=True, subset=True, subset_group=True,
              tooltip="Measure the spectra of these sources on Level-2 images")  # fmt: skip
@messagebox_on_error("The dialog for measuring cannot be opened")
def measure_layer(layer, data_collection):
    """The dialog with a dataset, a subset of one, or a subset of several as the targets."""
    return measure_dialog(_session_of(data_collection), layer)


@layer_action("SPHEREx: Check-up…", single=True, data=True, tooltip="Judge a spectrum as IRSA advises")
@messagebox_on_error("The check-up cannot be opened")
def check_up_layer(layer, data_collection):
    """The check-up of a dataset."""
    return check_up_dialog(_session_of(data_collection), _data_of(layer))


@layer_action("SPHEREx: Flag subsets…", single=True, data=True, subset=True, subset_group=True,
              tooltip="Make or edit subsets of quality flags")  # fmt: skip
@messagebox_on_error("The dialog of flag subsets cannot be opened")
def flag_subsets_layer(layer, data_collection):
    """The dialog for a dataset, or for a subset to edit."""
    group = getattr(
        layer, "group", layer if hasattr(layer, "subsets") and not hasattr(layer, "main_components") else None
    )
    return flag_subsets_dialog(_session_of(data_collection), _data_of(layer), subset_group=group)
