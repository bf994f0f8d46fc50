"""How a measurement is made: every choice in one value, checked when it is made."""

from dataclasses import asdict, dataclass

import numpy as np

from .errors import PhotometryError

ENGINES = ("builtin", "tractor")
BACKGROUNDS = ("local", "zodi")
BACKGROUND_FITS = ("none", "constant", "plane")
EXTENTS = ("tractor", "infinite")
WEIGHTS = ("model", "variance")
PSF_ZONES = ("nearest", "interpolated")


@dataclass(frozen=True)
class Settings:
    """The settings of a measurement.

    Parameters
    ----------
    background_box : int
        Side of the box in which the local background is measured, pixels; 5 to 101.
    background : {"local", "zodi"}
        ``"local"``: the sigma-clipped mean of the box. ``"zodi"``: the same after the model of the zodiacal light has
        been subtracted, so that its gradient does not matter.
    background_fit : {"none", "constant", "plane"}
        A background that is fitted together with the fluxes, on top of the local one.
    engine : {"builtin", "tractor"}
        The built-in least squares, or The Tractor if it is installed.
    extent : {"tractor", "infinite"}
        Whether a Sérsic flux is that of The Tractor's truncated profile or of the infinite one.
    weights : {"model", "variance"}
        The variance of a pixel: what the fitted model predicts, or what the VARIANCE plane says. See the method page.
    psf_zones : {"nearest", "interpolated"}
        The PSF of the nearest detector zone, as IRSA documents it, or bilinear between the zones around the source.
    psf_shift : (float, float)
        Pixels (x, y) that are added to the position of every template, -1 to 1: the opposite of the offset of the
        PSF's core from the centre of its stamp, which has been reported as (-0.053, -0.050) px for QR2.
    detectors : tuple of int, optional
        Detectors to use; all if None.
    wavelength : tuple of (float, float), optional
        Wavelength ranges to use, µm; all if None.
    time : (float, float), optional
        Range of modified Julian dates to use; all if None.

    Raises
    ------
    PhotometryError
        If a value is not allowed, naming it and what is.
    """

    background_box: int = 15
    background: str = "local"
    background_fit: str = "none"
    engine: str = "builtin"
    extent: str = "tractor"
    weights: str = "model"
    psf_zones: str = "nearest"
    psf_shift: tuple[float, float] = (0.0, 0.0)
    detectors: tuple[int, ...] | None = None
    wavelength: tuple[tuple[float, float], ...] | None = None
    time: tuple[float, float] | None = None

    def __post_init__(self):
        for name, allowed in (
            ("background", BACKGROUNDS),
            ("background_fit", BACKGROUND_FITS),
            ("engine", ENGINES),
            ("extent", EXTENTS),
            ("weights", WEIGHTS),
            ("psf_zones", PSF_ZONES),
        ):
            if getattr(self, name) not in allowed:
                raise PhotometryError(f"{name} is {getattr(self, name)!r}; allowed are {', '.join(allowed)}.")
        if self.engine == "tractor" and self.extent != "tractor":
            raise PhotometryError(f'extent is {self.extent!r}; engine="tractor" has only extent="tractor".')
        box = self.background_box
        if isinstance(box, bool) or int(box) != box or not 5 <= box <= 101:
            raise PhotometryError(f"background_box is {box!r}; a whole number of pixels from 5 to 101 is needed.")
        object.__setattr__(self, "psf_shift", _shift(self.psf_shift))
        if self.detectors is not None:
            object.__setattr__(self, "detectors", _detectors(self.detectors))
        if self.wavelength is not None:
            object.__setattr__(self, "wavelength", _ranges(self.wavelength))
        if self.time is not None:
            object.__setattr__(self, "time", _range("time", self.time, "MJD"))

    def in_wavelength(self, wavelength_um):
        """Which wavelengths are wanted.

        Parameters
        ----------
        wavelength_um : ndarray, shape (n,), µm

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        if self.wavelength is None:
            return np.ones(np.shape(wavelength_um), dtype=bool)
        return np.any([(low <= wavelength_um) & (wavelength_um <= high) for low, high in self.wavelength], axis=0)

    @property
    def ranges(self):
        """Which images are wanted: the arguments of `ImageCollection.find`."""
        return {"detectors": self.detectors, "wavelength": self.wavelength, "time": self.time}

    def as_dict(self):
        """The settings as JSON-like values."""
        return asdict(self)


def _detectors(detectors):
    numbers = tuple(sorted({int(number) for number in np.atleast_1d(detectors)}))
    wrong = [number for number in numbers if not 1 <= number <= 6]
    if wrong or not numbers:
        raise PhotometryError(f"detectors is {detectors!r}; allowed are numbers from 1 to 6.")
    return numbers


def _shift(pair):
    try:
        x, y = (float(value) for value in pair)
    except (TypeError, ValueError):
        raise PhotometryError(f"psf_shift is {pair!r}; a pair (x, y) in pixels is needed.") from None
    if not (abs(x) <= 1 and abs(y) <= 1):
        raise PhotometryError(f"psf_shift is {x:g}, {y:g} pixels; allowed are -1 to 1 for both.")
    return x, y


def _ranges(wavelength):
    pairs = [wavelength] if np.ndim(wavelength) == 1 else wavelength
    return tuple(_range("wavelength", pair, "µm") for pair in pairs)


def _range(name, pair, unit):
    try:
        low, high = (float(value) for value in pair)
    except (TypeError, ValueError):
        raise PhotometryError(f"{name} is {pair!r}; a pair (low, high) in {unit} is needed.") from None
    if not low < high:
        raise PhotometryError(f"{name} is {low:g} to {high:g} {unit}; the first must be below the second.")
    return low, high
