"""Make the pictures of the documentation from the demonstration's data.

    glue-spherex demo --no-gui --output demo
    python docs/screenshots.py demo [--size 1400 900] [--output docs/_static]

Needs no screen (QT_QPA_PLATFORM=offscreen is set unless it is given).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")  # no questions on closing

HERE = Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path, help="folder that `glue-spherex demo` wrote")
    parser.add_argument("--size", type=int, nargs=2, default=(1400, 900), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--output", type=Path, default=HERE / "_static")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["GLUE_SPHEREX_HOME"] = home  # jobs of its own, and no folders of the user's
        take_all(arguments)


def take_all(arguments):
    """Take the pictures, one after the other."""
    window = open_window(arguments.demo, arguments.size)
    for name, widget in pictures(window, arguments.demo):
        wait_for_cutouts(window)
        widget().grab().save(str(arguments.output / f"{name}.png"))
        print(arguments.output / f"{name}.png")
    window.close()


def wait(seconds):
    """Let glue draw, and the cutouts arrive."""
    from glue_qt.utils import process_events

    process_events(wait=seconds)


def wait_for_cutouts(window, longest=10.0):
    """Wait until every cutout on the screen is drawn."""
    from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer

    wait(1.0)
    pages = [viewer.page for tab in window.viewers for viewer in tab if isinstance(viewer, SpherexCutoutViewer)]
    end = time.monotonic() + longest
    while time.monotonic() < end and not all(
        page.is_drawn(panel.row.row) for page in pages for panel in page.panels if panel.row is not None
    ):
        wait(0.1)


def open_window(demo, size):
    """glue on the result of the demonstration, in a given size."""
    from glue_spherex.qt.application import result_window

    window = result_window(
        demo / "result" / "spectra.vot", demo / "result" / "targets.ecsv", demo / "field" / "catalogue.csv"
    )
    window.start(block=False, maximized=False)
    window.resize(*size)
    wait(1.0)
    return window


def bad_row(data, demo):
    """The row of the measurement that the demonstration spoils."""
    import numpy as np
    from astropy.table import Table

    truth = Table.read(demo / "field" / "truth.ecsv")
    spoiled = truth[(truth["label"] == truth.meta["bad_point_label"]) & (truth["file"] == truth.meta["bad_point_file"])]
    return int(
        np.flatnonzero((data["label"] == spoiled["label"][0]) & (data["lvf_id"] == spoiled["exposure_id"][0]))[0]
    )


def pictures(window, demo):
    """Names and what to take a picture of, after bringing the window into the state for it."""
    from glue_spherex.plugin.columns import find_column, spectra_in
    from glue_spherex.plugin.coverage.settings import SkySettings
    from glue_spherex.plugin.flag_subsets import FlagSubsetState
    from glue_spherex.plugin.focus import focus_row, focus_source
    from glue_spherex.qt.check_up import check_up_dialog
    from glue_spherex.qt.coverage import sky_coverage
    from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
    from glue_spherex.qt.flag_subsets import flag_subsets_dialog
    from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer

    session = window.session
    (data,) = spectra_in(window.data_collection)
    viewers = {type(viewer): viewer for viewer in window.viewers[0]}
    spectrum, cutouts = viewers[SpherexSpectrumViewer], viewers[SpherexCutoutViewer]
    row = bad_row(data, demo)
    focus_source(session, data, int(data["source_id"][row]))
    focus_row(session, data, row)
    yield "glue", lambda: window
    show_viewer(window, spectrum)
    yield "spectrum-viewer", lambda: window
    show_viewer(window, cutouts)
    yield "cutout-viewer", lambda: window
    show_all(window)
    dialog = flag_subsets_dialog(session, data)
    yield "flag-subsets", lambda: dialog
    dialog.close()
    check_up = check_up_dialog(session, data, int(data["source_id"][row]))
    yield "check-up", lambda: check_up
    check_up.close()
    sky = sky_coverage(session, SkySettings(hips2fits=""))  # without the network
    wait(3.0)
    yield "coverage", lambda: sky
    sky.close()
    state = FlagSubsetState(find_column(data, "flags"), 1, "any")
    window.data_collection.new_subset_group("TRANSIENT", state)
    yield "flag-subset-shown", lambda: window
    yield from pictures_of_jobs(window)


def pictures_of_jobs(window):
    """The measure dialog on bright stars of the catalogue, and the monitor while they are measured."""
    from glue_spherex.jobs import job, submit
    from glue_spherex.jobs import wait as wait_for_job
    from glue_spherex.qt.job_monitor import job_monitor
    from glue_spherex.qt.measure_dialog import measure_dialog

    catalogue = next(data for data in window.data_collection if data.label == "catalogue")
    for group in window.data_collection.subset_groups:
        window.data_collection.remove_subset_group(group)
    bright = window.data_collection.new_subset_group("bright stars", catalogue.id["flux_2um_ujy"] > 5.5e3)
    dialog = measure_dialog(window.session, bright)
    state = dialog.state
    state.refresh()

    def start(title):
        return submit(state.targets, state.request.image_folders, state.request.calibration or None, title=title)

    for title in ("Bright stars", "Bright stars, other box"):  # the machine learns how long it takes
        first = wait_for_job(start(title).id)
    dialog.close()
    dialog = measure_dialog(window.session, bright)
    dialog.state.request.title = "Bright stars, once more"
    dialog.resize(min(1120, window.width()), min(800, window.height()))
    while not dialog.state.is_planned:
        wait(0.2)
    yield "measure-dialog", lambda: dialog
    dialog.close()
    monitor, running = job_monitor(window.session), start("Bright stars, once more").id
    monitor.state.choose([first.id])
    while job(running).images_done < 10 and job(running).phase.is_active:
        wait(0.1)
    yield "job-monitor", lambda: window
    wait_for_job(running)


def show_viewer(window, viewer):
    """Give a viewer the whole tab."""
    viewer.parent().showMaximized()
    window.current_tab.setActiveSubWindow(viewer.parent())


def show_all(window):
    """Bring the prepared layout back."""
    from glue_spherex.qt.arrange import arrange_viewers

    for sub in window.current_tab.subWindowList():
        sub.showNormal()
    arrange_viewers(window)


if __name__ == "__main__":
    main()
