"""A service that draws the sky for a WCS, on this machine: black, with a red disc at each given position."""

import io
import json
import sys
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "archive"))

from loopback import Answer, LoopbackArchive

from glue_spherex.plugin.coverage.settings import SkySettings

PATH = "/hips2fits"


class SkyService(LoopbackArchive):
    """Serves pictures below ``/hips2fits``, and files.

    Attributes
    ----------
    stars : list of (float, float, float)
        Right ascension, declination and radius of each disc, deg.
    asked : list of (str, WCS)
        Name of the HiPS and the WCS of each request.
    """

    def __init__(self, stars=()):
        super().__init__()
        self.stars, self.asked = list(stars), []
        self.services[PATH] = self.draw

    def settings(self, **values):
        quick = {"hips2fits": self.url + PATH, "connect_s": 60.0, "timeout_s": 120.0, "longest_s": 120.0}
        quick |= {"hips": ("CDS/P/2MASS/color", "CDS/P/DSS2/color")}
        return SkySettings(**(quick | values))

    def draw(self, request):
        [cards], [name], [kind] = (request.query[key] for key in ("wcs", "hips", "format"))
        header = fits.Header(json.loads(cards))
        wcs = WCS(header)
        self.asked.append((name, wcs))
        x, y = np.meshgrid(np.arange(header["NAXIS1"]), np.arange(header["NAXIS2"]))
        ra, dec = wcs.wcs_pix2world(x.ravel(), y.ravel(), 0)
        known = np.isfinite(ra)
        sky = SkyCoord(ra[known] * u.deg, dec[known] * u.deg)
        red = np.zeros(x.size, bool)
        for star_ra, star_dec, radius in self.stars:
            red[known] |= sky.separation(SkyCoord(star_ra, star_dec, unit="deg")) < radius * u.deg
        pixels = np.zeros((*x.shape, 3), np.uint8)
        pixels[..., 0] = 255 * red.reshape(x.shape)
        file = io.BytesIO()
        Image.fromarray(pixels[::-1]).save(file, {"jpg": "JPEG", "png": "PNG"}[kind], quality=95)  # top row first
        return Answer(file.getvalue(), headers={"Content-Type": f"image/{kind}"})
