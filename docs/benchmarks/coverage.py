"""How fast the sky coverage panel draws 20,000 targets and the outlines of 5,000 images; offscreen, without network.

python docs/benchmarks/coverage.py [--targets 20000] [--images 5000]
"""

import argparse
import os
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")

from common import describe_machine


class Image:
    """As much of an image as an outline needs."""

    nx = ny = 2040
    mjd = 61000.0

    def __init__(self, number, corners):
        self.detector, self.corners = number % 6 + 1, corners.tobytes()


def images(n, rng):
    """Images of 3.5 degrees, spread over the sky."""
    import numpy as np

    from glue_spherex.plugin.coverage.footprints import footprints_of

    centres = np.column_stack([rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-0.98, 0.98, n)))])
    square = 1.75 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners = centres[:, None] + square
    corners[..., 0] = (centres[:, :1] + square[:, 0] / np.cos(np.radians(centres[:, 1:]))) % 360
    return footprints_of([Image(k, image) for k, image in enumerate(corners)])


def median_ms(call, times=9):
    """Median processor time of a call, ms: how long it takes on a machine that has nothing else to do."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return 1000 * sorted(seconds)[times // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=20_000)
    parser.add_argument("--images", type=int, default=5_000)
    arguments = parser.parse_args()
    describe_machine()

    import numpy as np
    from glue.core import Data, DataCollection
    from glue_qt.app import GlueApplication
    from glue_qt.utils import process_events

    from glue_spherex.plugin.coverage.maps import has_maps, map_of_footprints, mask_of
    from glue_spherex.plugin.coverage.settings import SkySettings
    from glue_spherex.qt.coverage import sky_coverage

    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, arguments.targets), np.degrees(np.arcsin(rng.uniform(-1, 1, arguments.targets)))
    window = GlueApplication(DataCollection([Data(label="targets", ra=ra, dec=dec)]))
    panel = sky_coverage(window.session, SkySettings(hips2fits=""))
    panel.resize(1000, 640)
    process_events()
    panel.state.images = images(arguments.images, rng)
    size = f"{panel.state.view.nx} x {panel.state.view.ny} px"
    print(f"{arguments.targets} targets, {arguments.images} images, {size}; medians of processor time")
    canvas = panel.canvas
    for width in (1e9, 60, 5, 0.2):
        view = panel.state.view.on(ra[5], dec[5], width)

        def step(view=view):
            panel.state.view = view.zoomed(0.9) if panel.state.view == view else view
            canvas.draw_now()
            canvas.draw()

        shown = "all sky" if width > 343 else f"{width} deg"
        print(f"  a step of the wheel or of a drag, {shown:8s} {median_ms(step):6.0f} ms")
    x, y = view.nx / 2, view.ny / 2
    print(f"  target under the mouse {median_ms(lambda: canvas.target_at(x, y)):6.2f} ms")
    panel.state.images.counts(ra[5], dec[5])
    print(f"  number of images on it {median_ms(lambda: panel.state.images.counts(ra[5], dec[5])):6.1f} ms")
    if has_maps():
        start = time.process_time()
        moc = map_of_footprints(panel.state.images.corners)
        print(f"  map of what the images cover {time.process_time() - start:6.1f} s, in the background")
        print(f"  filling the view with it {median_ms(lambda: mask_of(moc, view)):6.0f} ms, when the view stands still")
    window.close()


if __name__ == "__main__":
    main()
