"""How long a job takes as the user of glue sees it, offscreen: the click, the result, and drawing meanwhile.

    python docs/benchmarks/jobs_in_glue.py

One source on 200 cutouts, handed in from the measure dialog in a glue window of 1400 x 900; the spectrum that is drawn
meanwhile has 20,000 points.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")
os.environ["GLUE_SPHEREX_HOME"] = tempfile.mkdtemp()

from common import describe_machine, field
from viewers import Window, make_table

IMAGES = 200
LONGER = 6  # times as many images, for the job that runs while the window draws


def report(what, goal, value, unit="s"):
    print(f"{what:<66} {goal:>8} {value:8.3f} {unit}")


def fill(window, source, folders):
    """The measure dialog with one target, when its images are counted."""
    from glue_spherex.qt.measure_dialog import measure_dialog

    dialog = measure_dialog(window.session, text=f"{source.ra} {source.dec} {source.label}")
    dialog.state.request.image_folders = tuple(map(str, folders))
    dialog.settle()
    while not (dialog.state.is_planned and dialog.measure_button.isEnabled()):
        window.settle(0.05)
    return dialog


def click(dialog):
    """Press the button; wall time until glue can be used again, s."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    start = time.perf_counter()
    QTest.mouseClick(dialog.measure_button, Qt.LeftButton)
    return time.perf_counter() - start


def from_click_to_result(window, source, folder):
    """Seconds of the click, and until the spectrum is drawn in its viewer; the median of three."""
    from glue_spherex.plugin.columns import spectra_in

    clicks, results = [], []
    for _ in range(3):
        before = set(spectra_in(window.session.data_collection))
        dialog = fill(window, source, [folder / "images"])
        start = time.perf_counter()
        clicks.append(click(dialog))
        while not set(spectra_in(window.session.data_collection)) - before:
            window.settle(0.01)
        window.settle()
        results.append(time.perf_counter() - start)
        dialog.close()
    return statistics.median(clicks), statistics.median(results)


def redraw(window, times=15):
    """Median wall time of a redraw, s."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        window.spectrum.figure.canvas.draw()
        window.settle()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def redraw_during_a_job(window, source, folder):
    """Median redraw before, during and after a job, s."""
    from glue_spherex.jobs import job, jobs
    from glue_spherex.qt.job_monitor import job_monitor

    job_monitor(window.session)
    window.settle(1.0)
    before = redraw(window)
    dialog = fill(window, source, [folder / "images"])
    dialog.load_box.setChecked(False)
    click(dialog)
    dialog.close()
    (newest, *_) = jobs()
    while not job(newest.id).images_done:
        window.settle(0.02)
    during = redraw(window)
    still = job(newest.id).phase.is_active
    while job(newest.id).phase.is_active:
        window.settle(0.1)
    window.settle(1.0)
    return before, during, redraw(window), still


def main():
    describe_machine()
    from glue_spherex import read_targets

    folder = Path(tempfile.mkdtemp())
    make_table(folder / "spectra.vot", images=60)
    short = field("jobs-in-glue", scene="field", images=IMAGES)
    long = field("jobs-in-glue-long", scene="crowded", images=IMAGES * LONGER // 4, n_sources=20)
    window = Window(folder / "spectra.vot")
    window.arrange()
    print(f"{'':66} {'goal':>8} {'median':>8}")
    source = read_targets(short / "targets.csv").sources[0]
    clicked, seen = from_click_to_result(window, source, short)
    report("submitting from the dialog", 0.3, clicked)
    report(f"1 source, {IMAGES} images, from the click to the drawn spectrum", 5.0, seen)
    window.arrange()
    source = read_targets(long / "targets.csv").sources[0]
    before, during, after, still = redraw_during_a_job(window, source, long)
    report("redraw of 20,000 points without a job", "", statistics.mean((before, after)))
    report("redraw while a job uses the other core" + ("" if still else " (it ended meanwhile)"), "", during)
    report("slower by", "25 %", 100 * (during / statistics.mean((before, after)) - 1), "%")
    window.application.close()


if __name__ == "__main__":
    main()
