"""Level-2 spectral images as glue data, with sky coordinates that keep their distortion in sessions."""

import os
from pathlib import Path

import numpy as np
from glue.config import data_factory
from glue.core import Data
from glue.core.component import Component
from glue.core.coordinates import Coordinates

from ..images import Astrometry, SpectralImage
from ..images.fits_file import Header
from ..model import DETECTORS
from .loader import PRIORITY
from .opening import require_file

_LOOK_BYTES = 1 << 17


class ImageCoordinates(Coordinates):
    """Pixels and sky of a spectral image: TAN projection with SIP distortion.

    glue saves an `astropy.wcs.WCS` in a session without its distortion, which is worth more than a pixel here; this
    class saves all its numbers.

    Parameters
    ----------
    numbers : bytes
        `ImageRecord.wcs_numbers`.
    """

    def __init__(self, numbers):
        super().__init__(n_dim=2)
        self._numbers = bytes(numbers)
        self._astrometry = Astrometry(self._numbers)
        self._wcs = self._astrometry.wcs()

    def pixel_to_world_values(self, *pixel):
        """Right ascension and declination (deg, ICRS) of 0-based pixels x, y, arrays of any shape."""
        return self._astrometry.to_sky(*pixel)

    def world_to_pixel_values(self, *world):
        """0-based pixels x, y of right ascension and declination (deg); NaN far away from the image."""
        return self._astrometry.to_pixels(*world)

    @property
    def world_axis_names(self):
        """Names of the axes."""
        return ["Right Ascension", "Declination"]

    @property
    def world_axis_physical_types(self):
        """UCD1+ of the axes."""
        return ["pos.eq.ra", "pos.eq.dec"]

    @property
    def world_axis_units(self):
        """Units of the axes."""
        return ["deg", "deg"]

    @property
    def axis_correlation_matrix(self):
        """Every world axis depends on both pixel axes."""
        return np.ones((2, 2), bool)

    @property
    def world_axis_object_components(self):
        """How world values make a `~astropy.coordinates.SkyCoord`."""
        return self._wcs.world_axis_object_components

    @property
    def world_axis_object_classes(self):
        """The class of world objects, and its frame: ICRS."""
        return self._wcs.world_axis_object_classes

    def __gluestate__(self, context):
        return {"numbers": np.frombuffer(self._numbers).tolist()}

    @classmethod
    def __setgluestate__(cls, rec, context):
        return cls(np.array(rec["numbers"], dtype=float).tobytes())


def is_spectral_image(filename, **kwargs):
    """Whether a file is a SPHEREx Level-2 image, from its beginning: the HDU IMAGE with a detector and our cards."""
    if not os.path.isfile(filename):  # opening a pipe would wait for ever
        return False
    with open(filename, "rb") as stream:
        head = stream.read(_LOOK_BYTES)
    if not head.startswith(b"SIMPLE  ="):
        return False
    text = head.decode("ascii", "replace")
    start = next((k for k in range(0, len(text), 2880) if _is_image_hdu(text[k : k + 2880])), None)
    if start is None:
        return False
    header = Header(text[start : start + 14 * 2880].partition(f"END{' ' * 77}")[0])
    ours = header.text("OBSID") or "CRPIX1W" in header or "OMEGA_MEDIAN" in header
    return bool(header.integer("DETECTOR") in DETECTORS and ours)


def _is_image_hdu(block):
    return block.startswith("XTENSION") and any(
        block[k : k + 8] == "EXTNAME " and block[k + 10 : k + 80].strip().startswith("'IMAGE")
        for k in range(0, 2880, 80)
    )


@data_factory("SPHEREx spectral image", identifier=is_spectral_image, priority=PRIORITY)
def load_image(filename, **kwargs):
    """Load a Level-2 spectral image for glue.

    Parameters
    ----------
    filename : path-like
        A full frame or cutout.

    Returns
    -------
    glue.core.Data
        Shape (ny, nx), pixels 0-based: ``image`` (MJy / sr, as in the file, zodiacal light included), ``variance``,
        ``flags`` (int64, bits as in `glue_spherex.Flag`), ``zodi`` where the file has it, ``wavelength`` (um, of each
        pixel, good to 1 nm) where the file tells it. World coordinates are ICRS with distortion. ``meta["spherex"]``
        says which exposure it is.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImageFileError
        If it cannot be read, or is no SPHEREx image; names the file and the reason.
    """
    require_file(filename, "image")
    with SpectralImage.open(filename) as image:
        ny, nx = image.record.shape
        pixels = image.cutout(0, nx, 0, ny)
        planes = {
            "image": (pixels.image.astype(np.float32), "MJy / sr"),
            "variance": (pixels.variance.astype(np.float32), "MJy2 / sr2"),
            "flags": (pixels.flags.astype(np.int64), ""),
        }
        if pixels.zodi is not None:
            planes["zodi"] = (pixels.zodi.astype(np.float32), "MJy / sr")
        if image.wavelength_source != "none":
            planes["wavelength"] = (wavelength_map(image), "um")
        data = Data(label=Path(filename).stem, coords=ImageCoordinates(image.record.wcs_numbers))
        for name, (values, unit) in planes.items():
            data.add_component(Component(values, units=unit), name)
        data.meta["spherex"] = about(image.record, list(planes))
    return data


def wavelength_map(image):
    """The central wavelength of each pixel of a spectral image.

    Parameters
    ----------
    image : SpectralImage

    Returns
    -------
    ndarray of float32, shape (ny, nx), um
    """
    (ny, nx), (x0, y0) = image.record.shape, image.record.origin
    x, y = np.arange(nx, dtype=float) + x0, np.arange(ny, dtype=float) + y0
    rows = [image.wavelength(np.tile(x, len(part)), np.repeat(part, nx))[0].astype(np.float32)
            for part in np.array_split(y, max(1, ny // 128))]  # fmt: skip
    return np.concatenate(rows).reshape(ny, nx)


def about(record, columns):
    """What a session keeps of an image's headers.

    Parameters
    ----------
    record : ImageRecord
    columns : list of str
        Names of the components.

    Returns
    -------
    dict
        Text, numbers and lists: ``kind``, ``columns``, ``path``, ``detector``, ``obsid``, ``lvf_id``,
        ``obs_publisher_did``, ``release``, ``version``, ``mjd``, ``exposure_s``, ``origin`` (detector pixel of the
        image's pixel (0, 0)), ``notes``.
    """
    return {
        "kind": "image",
        "columns": columns,
        "descriptions": {},
        "path": record.path,
        "detector": record.detector,
        "obsid": record.obsid,
        "lvf_id": record.exposure_id,
        "obs_publisher_did": record.obs_publisher_did,
        "release": record.release,
        "version": record.version,
        "mjd": float(record.mjd),
        "exposure_s": float(record.exposure_s) if np.isfinite(record.exposure_s) else None,
        "origin": [int(record.x0), int(record.y0)],
        "notes": [line for line in record.notes.split("\n") if line],
    }
