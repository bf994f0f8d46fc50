"""How long a job takes as the user of glue sees it, offscreen: the click, the result, and drawing meanwhile.

    python docs/benchmarks/jobs_in_glue.py

One source on 200 cutouts, handed in from the measure dialog in a glue window of 1400 x 900; the spectrum that is drawn
meanwhile has 20,000 points.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")
os.environ["GLUE_SPHEREX_HOME"] = tempfile.mkdtemp()

from common import describe_machine, field
from viewers import Window, make_table

IMAGES = 200
LONGER = 1500  # images with twenty sources, for the job that runs while the window draws


def report(what, goal, value, unit="s"):
    print(f"{what:<76} {goal:>8} {value:8.3f} {unit}")


def fill(window, sources, folders):
    """The measure dialog with targets, when its images are counted."""
    from glue_spherex.qt.measure_dialog import measure_dialog

    lines = [f"{source.ra} {source.dec} {source.label}" for source in sources]
    dialog = measure_dialog(window.session, text="\n".join(lines))
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


def from_click_to_result(window, sources, folder):
    """Seconds of the click, and until the spectrum is drawn in its viewer; the median of three."""
    from glue_spherex.plugin.columns import spectra_in

    clicks, results = [], []
    for _ in range(3):
        before = set(spectra_in(window.session.data_collection))
        dialog = fill(window, sources, [folder / "images"])
        start = time.perf_counter()
        clicks.append(click(dialog))
        while not set(spectra_in(window.session.data_collection)) - before:
            window.settle(0.01)
        window.settle()
        results.append(time.perf_counter() - start)
        dialog.close()
    return statistics.median(clicks), statistics.median(results)


def redraw(window, seconds=2.0):
    """Median wall and processor time of a redraw, s."""
    wall, processor = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start, start_processor = time.perf_counter(), time.process_time()
        window.spectrum.figure.canvas.draw()
        window.settle()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return statistics.median(wall), statistics.median(processor)


def redraw_beside_others(window, sources, images):
    """Redraws alone, beside a process that only counts, and while a job runs: medians of wall and processor time, s."""
    from glue_spherex.jobs import cancel, job, jobs, wait
    from glue_spherex.qt.job_monitor import job_monitor

    job_monitor(window.session)
    window.settle(1.0)
    alone, counting, working = [], [], []
    for _ in range(3):
        alone.append(redraw(window))
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
            counting.append(redraw(window))
            process.kill()
        dialog = fill(window, sources, [images])
        dialog.load_box.setChecked(False)
        before = len(jobs())
        click(dialog)
        dialog.close()
        while len(jobs()) == before:  # it is handed in in the background
            window.settle(0.02)
        newest = jobs()[0].id
        while not job(newest).images_done:
            window.settle(0.02)
        working.append(redraw(window))
        if not job(newest).phase.is_active:
            raise RuntimeError("the job ended while the window drew: give it more images")
        cancel(newest)
        wait(newest)
        window.settle(1.0)
    return [[statistics.median(pair) for pair in zip(*times)] for times in (alone, counting, working)]


def main():
    describe_machine()
    from glue_spherex import read_targets

    folder = Path(tempfile.mkdtemp())
    make_table(folder / "spectra.vot", images=60)
    short = field("jobs-in-glue", scene="field", images=IMAGES)
    long = field("jobs-in-glue-long", scene="crowded", images=LONGER, n_sources=20)
    window = Window(folder / "spectra.vot")
    window.arrange()
    print(f"{'':76} {'goal':>8} {'median':>8}")
    clicked, seen = from_click_to_result(window, read_targets(short / "targets.csv").sources[:1], short)
    report("submitting from the dialog", 0.3, clicked)
    report(f"1 source, {IMAGES} images, from the click to the drawn spectrum", 5.0, seen)
    window.arrange()
    images = long / "images"
    alone, counting, working = redraw_beside_others(window, read_targets(long / "targets.csv").sources, images)
    for number, what in enumerate(("wall time", "processor time")):
        report(f"redraw of 20,000 points, nothing else at work, {what}", "", alone[number])
        report(f"redraw while a process that only counts uses the other core, {what}", "", counting[number])
        report(f"redraw while a job uses the other core, job monitor open, {what}", "", working[number])
        goal = "" if number else "25 %"
        report(f"a job slows it by, {what}", goal, 100 * (working[number] / alone[number] - 1), "%")
        report(f"counting slows it by, {what}", "", 100 * (counting[number] / alone[number] - 1), "%")
    window.application.close()


if __name__ == "__main__":
    main()
