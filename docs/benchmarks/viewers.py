"""How fast the viewers are with 20,000 points, offscreen: opening, drawing, clicking, stepping, subsets, memory.

    python docs/benchmarks/viewers.py

All of it happens in one glue window of 1400 x 900 with the prepared layout, the images in a local folder.
"""

import gc
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")

import numpy as np
from common import describe_machine, field

POINTS = 20_000


def make_table(path, images):
    """The measured spectra of a field, repeated to 20,000 rows with wavelengths a little apart."""
    from astropy.table import vstack

    from glue_spherex import FolderCollection, measure, read_targets, write_spectra

    folder = field("viewers", scene="field", images=images)
    sources = read_targets(folder / "targets.csv").sources[:1]
    once = measure(sources, FolderCollection(folder / "images", folder / "calibration"))
    table = vstack([once] * (POINTS // len(once) + 1), metadata_conflicts="silent")[:POINTS]
    table.meta = once.meta
    shift = np.random.default_rng(1).uniform(-0.01, 0.01, POINTS)
    table["wavelength"] = table["wavelength"] * (1 + shift)
    table["flux"] = table["flux"] * (1 + 3 * shift)
    write_spectra(table, path)


def timed(action, times=1):
    """Wall and processor times of an action, lists of s."""
    wall, processor = [], []
    for number in range(times):
        start, start_processor = time.perf_counter(), time.process_time()
        action(number)
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return wall, processor


def report(what, goal, times):
    figures = [figure(seconds) for seconds in times for figure in (statistics.median, max)]
    print(f"{what:<58} {goal:>6}" + "".join(f" {figure:8.3f}" for figure in figures))


def resident_mb():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


class Window:
    """A glue window with the spectra, the layout and what the measurements need of it."""

    def __init__(self, path):
        from glue.main import load_plugins
        from glue_qt.app import GlueApplication

        load_plugins()
        self.application = GlueApplication()
        self.application.start(block=False, maximized=False)
        self.application.resize(1400, 900)
        self.data = self.application.load_data(str(path))
        self.session = self.application.session

    def settle(self, seconds=None):
        from glue_qt.utils import process_events

        process_events(wait=seconds)

    def arrange(self):
        from glue_spherex.qt.arrange import arrange_viewers
        from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
        from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer

        viewers = arrange_viewers(self.application, self.data)
        self.spectrum, self.cutouts = viewers[SpherexSpectrumViewer], viewers[SpherexCutoutViewer]
        self.settle(3.0)

    def points(self, number):
        """Rows spread over the spectrum, and where their points are on the canvas."""
        from qtpy.QtCore import QPoint

        shown = self.spectrum.state.shown(self.data)
        rows = np.random.default_rng(number).permutation(np.flatnonzero(shown.drawn))
        canvas = self.spectrum.figure.canvas
        for row in rows:
            x, y = self.spectrum.axes.transData.transform((shown.x[row], shown.y[row]))
            ratio = canvas.device_pixel_ratio
            if self.spectrum.axes.bbox.contains(x, y):
                return QPoint(round(x / ratio), round(canvas.height() - y / ratio))
        raise RuntimeError("no point is in sight")

    def click(self, where):
        """Click a point and wait until it is drawn as the focused one."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(self.spectrum.figure.canvas, Qt.LeftButton, pos=where)
        self.spectrum.figure.canvas.repaint()

    def wait_for_cutout(self):
        """Wait until the middle cutout of the focused row is drawn."""
        end = time.perf_counter() + 10
        while not self.cutouts.page.is_drawn(self.cutouts.state.focus_row):
            self.settle()
            if time.perf_counter() > end:
                raise RuntimeError("no cutout was drawn within 10 s")
        self.cutouts.figure.canvas.repaint()


def open_viewer(window):
    """A spectrum viewer of its own, opened and drawn."""
    from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer

    viewers = []

    def action(number):
        viewer = window.application.new_data_viewer(SpherexSpectrumViewer, data=window.data)
        window.settle()
        viewer.figure.canvas.draw()
        viewers.append(viewer)

    seconds = timed(action, 3)
    for viewer in viewers:
        viewer.close(warn=False)
    window.settle()
    return seconds


def clicks(window, cutout):
    places = [window.points(number) for number in range(20)]

    def action(number):
        window.click(places[number])
        if cutout:
            window.wait_for_cutout()

    seconds = timed(action, 20)
    window.settle(1.0)
    return seconds


def subsets(window):
    """One flag subset made and drawn, then nine more, and the redraw with all ten."""
    from glue_spherex.plugin.columns import find_column
    from glue_spherex.plugin.flag_subsets import FlagSubsetState

    bits = [0, 19, 21, 22, 23, 24, 26, 27, 28, 32]
    flags = find_column(window.data, "flags")

    def make(bit):
        window.application.data_collection.new_subset_group(str(bit), FlagSubsetState(flags, 1 << bit, "any"))
        window.settle()
        window.spectrum.figure.canvas.draw()

    first = timed(lambda number: make(bits[0]))
    for bit in bits[1:]:
        make(bit)
    return first, timed(lambda number: window.spectrum.figure.canvas.draw(), 5)


def longest_freeze(window, steps=100):
    """Times in which the window does nothing while an arrow key repeats every 33 ms: wall, and of this thread, s."""
    from qtpy.QtCore import Qt, QTimer
    from qtpy.QtTest import QTest

    beats, pressed = [(time.perf_counter(), time.thread_time())], 0
    beat, key = QTimer(interval=5), QTimer(interval=33)
    beat.timeout.connect(lambda: beats.append((time.perf_counter(), time.thread_time())))

    def press():
        nonlocal pressed
        pressed += 1
        QTest.keyPress(window.spectrum.figure.canvas, Qt.Key_Right)

    key.timeout.connect(press)
    window.spectrum.figure.canvas.setFocus()
    beat.start(), key.start()
    while pressed < steps:
        window.settle()
    key.stop()
    QTest.keyRelease(window.spectrum.figure.canvas, Qt.Key_Right)
    window.settle(0.5)
    beat.stop()
    return np.diff(beats, axis=0).T.tolist()


def growth(window, steps=500):
    """Resident memory after 100 steps, and after `steps` more, MB."""
    from glue_spherex.plugin.focus import focus_row
    from glue_spherex.plugin.row_order import step

    row = window.spectrum.state.focus_row or 0

    def walk(number):
        nonlocal row
        for _ in range(number):
            row = step(window.data, row, "wavelength", 1)
            focus_row(window.session, window.data, row)
            window.settle()
        window.settle(1.0)
        gc.collect()
        return resident_mb()

    return walk(100), walk(steps)


def main():
    describe_machine()
    folder = Path(tempfile.mkdtemp())
    make_table(folder / "spectra.vot", images=60)
    window = Window(folder / "spectra.vot")
    print(f"{'':65} {'wall time, s':>17} {'processor, s':>17}")
    print(f"{f'{POINTS} points with error bars':<58} {'goal':>6}" + f" {'median':>8} {'longest':>8}" * 2)
    report("spectrum viewer opens (3 times)", 1.5, open_viewer(window))
    window.arrange()
    report("spectrum viewer redraws (5 times)", 0.25, timed(lambda n: window.spectrum.figure.canvas.draw(), 5))
    report("click to highlighted point (20 times)", 0.1, clicks(window, cutout=False))
    report("click to drawn centre cutout from a local file (20 times)", 0.3, clicks(window, cutout=True))
    report("event loop while an arrow key is held, 100 steps", 0.3, longest_freeze(window))
    before, after = growth(window)
    one, ten = subsets(window)
    report("flag subset over all rows made and drawn", 1.0, one)
    report("redraw with 10 subsets (5 times)", 0.6, ten)
    print(f"resident memory after 100 steps {before:.0f} MB, after 500 more {after:.0f} MB")
    window.application.close()


if __name__ == "__main__":
    main()
