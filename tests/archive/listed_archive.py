"""An archive that tells of many images without having any: for everything that happens before something is fetched."""

from dataclasses import dataclass, field

import numpy as np
from astropy.wcs import WCS

from glue_spherex.images.simulation.archive_server import LoopbackArchive
from glue_spherex.images.simulation.archive_services import SearchServices, row

N_PIX = 2040


@dataclass
class ListedImage:
    """What is true of an image: where the target lies on it, and when it was taken."""

    detector: int
    obsid: str
    x: float
    y: float
    mjd: float


@dataclass
class ListedArchive:
    """A running archive around a place on the sky, deg; `images` are those that hold it."""

    ra: float
    dec: float
    archive: object = field(default_factory=lambda: LoopbackArchive().start())
    images: list = field(default_factory=list)

    def __post_init__(self):
        self.search = SearchServices().join(self.archive)

    def add(self, detector, number, x, y, mjd, release="qr2", turn_deg=0.0):
        """Tell of an image on which the target lies at a pixel."""
        obsid = f"2025W{20 + number % 30:02d}_1A_{number:04d}_1"
        version = {"qr2": "l2b-v21-2025-354", "qr3": "l2b-v26-2026-250"}[release]
        key = f"{release}/level2/{obsid[:10]}/{version}/{detector}/level2_{obsid}D{detector}_spx_{version}.fits"
        corners = self._corners(x, y, turn_deg)
        self.search.rows.append(
            row(self.archive, key, corners, mjd - 0.0005, mjd + 0.0005, f"spherex_{release}", 71638, obsid, detector)
        )
        if 0 <= x < N_PIX and 0 <= y < N_PIX:
            self.images.append(ListedImage(detector, obsid, x, y, mjd))
        return key

    def add_many(self, n, seed=1, first_mjd=60800.0, days=200.0):
        """Tell of images of all detectors in turn, at random places and times."""
        rng = np.random.default_rng(seed)
        for k in range(n):
            x, y = rng.uniform(40, N_PIX - 40, 2)
            self.add(k % 6 + 1, k, x, y, first_mjd + days * rng.uniform() ** 2, turn_deg=rng.uniform(0, 360))

    def _corners(self, x, y, turn_deg):
        wcs = WCS(naxis=2)
        cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
        wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
        wcs.wcs.cd = 6.15 / 3600 * np.array([[-cos, sin], [sin, cos]])
        wcs.wcs.crval, wcs.wcs.crpix = (self.ra, self.dec), (x + 1, y + 1)
        edge = N_PIX - 0.5
        return wcs.wcs_pix2world([[-0.5, -0.5], [edge, -0.5], [edge, edge], [-0.5, edge]], 0)
