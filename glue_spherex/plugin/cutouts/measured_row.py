"""What a row of a spectrum says about its measurement, and how that reads above a cutout."""

import re
from dataclasses import dataclass

import numpy as np

from ...images.exposures import observation_of
from ...model import Flag
from ..columns import column_values, find_column, kind_of
from ..texts import date_text, with_error

_DID = re.compile(
    r"ivo://[^?]*?(?:spherex_)?(?P<release>(?:qr|dr)\d+)?(?:_deep)?\?(?P<obsid>[^/?]+)(?:/D(?P<detector>[1-6]))?$", re.I
)
_COLLECTION = re.compile(r"(?:spherex_)?((?:qr|dr)\d+)(?:_deep)?", re.I)


@dataclass(frozen=True)
class MeasuredRow:
    """A row of a spectrum table.

    Parameters
    ----------
    row : int
        0-based.
    ra, dec : float, deg
        Position at the exposure; NaN where the row has none.
    did : str
        ``obs_publisher_did``; '' without.
    lvf_id : int
        Number of exposure and detector; 0 without.
    det_id : int
        Detector; 0 without.
    wavelength, mjd, flux, flux_err, flux_bkg : float
        In the units of the dataset (um, d, uJy, uJy, MJy/sr); NaN without.
    flags : int or None
        None where the dataset does not tell.
    flux_unit : str
    data_collection : str
        As ``spherex_qr2_deep``; '' without.
    """

    row: int
    ra: float
    dec: float
    did: str
    lvf_id: int
    det_id: int
    wavelength: float
    mjd: float
    flux: float
    flux_err: float
    flux_bkg: float
    flags: int | None
    flux_unit: str = "uJy"
    data_collection: str = ""

    @property
    def obsid(self):
        """Name of the observation, as ``2025W51_1A_0684_2``; '' where the identifier does not tell."""
        found = _DID.match(self.did)
        return found["obsid"] if found else ""

    @property
    def detector(self):
        """Detector, 1 to 6, from whichever identifier tells it; 0 where none does."""
        found = _DID.match(self.did)
        if found and found["detector"]:
            return int(found["detector"])
        return self.det_id or (self.lvf_id % 10 if len(str(self.lvf_id)) == 15 else 0)

    @property
    def release(self):
        """Data release of the image, as 'qr2'; '' where the identifier does not tell."""
        found = _DID.match(self.did)
        if found and found["release"]:
            return found["release"].lower()
        found = _COLLECTION.fullmatch(self.data_collection)
        return found[1].lower() if found else ""

    @property
    def observation(self):
        """As `obsid`, from whichever identifier tells it: the number of the exposure does so too."""
        return self.obsid or observation_of(self.lvf_id)

    @property
    def image_name(self):
        """The image as text: ``2025W51_1A_0684_2 D3``, or its number; '' for a row without identifier."""
        name = self.obsid or self.did or (str(self.lvf_id) if self.lvf_id else "")
        return f"{name} D{self.detector}" if name and self.detector else name


def has_images(data):
    """Whether the rows of a dataset were measured on images: a spectrum, or a table with IRSA's identifiers.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    bool
    """
    if data.ndim != 1:
        return False
    if kind_of(data) == "spectrum":
        return True
    has = {name: find_column(data, name) is not None for name in ("ra", "dec", "obs_publisher_did", "lvf_id")}
    return has["ra"] and has["dec"] and (has["obs_publisher_did"] or has["lvf_id"])


_NUMBERS = {"ra": "ra", "dec": "dec", "wavelength": "wavelength", "mjd": "mjd", "flux": "flux",
            "flux_err": "flux_err", "flux_bkg": "flux_bkg"}  # fmt: skip


def measured_rows(data, rows):
    """Read rows of a spectrum dataset.

    Parameters
    ----------
    data : glue.core.Data
    rows : sequence of int

    Returns
    -------
    list of MeasuredRow
        A column that is missing, or has text instead of numbers, gives NaN, 0 or ''.
    """
    rows = np.asarray(rows, dtype=int)
    if not rows.size:
        return []
    columns = {name: _floats(column_values(data, source, rows), rows.size) for name, source in _NUMBERS.items()}
    for name in ("lvf_id", "det_id"):
        columns[name] = _integers(column_values(data, name, rows), rows.size)
    for name, source in (("did", "obs_publisher_did"), ("data_collection", "data_collection")):
        texts = column_values(data, source, rows)
        columns[name] = [str(value).strip() for value in texts] if texts is not None else [""] * rows.size
    flags = column_values(data, "flags", rows)
    columns["flags"] = _flags(flags, rows.size)
    flux = find_column(data, "flux")
    unit = data.get_component(flux).units if flux is not None else ""
    return [
        MeasuredRow(int(row), flux_unit=unit or "uJy", **{name: values[place] for name, values in columns.items()})
        for place, row in enumerate(rows)
    ]


def _floats(values, size):
    if values is None or values.dtype.kind not in "iuf":
        return [float("nan")] * size
    return [float(value) for value in values]


def _flags(values, size):
    """Flags as whole numbers; None where they are missing, as -1 and NaN tell."""
    if values is None:
        return [None] * size
    if values.dtype.kind == "f":
        known = np.isfinite(values) & (values >= 0)
    else:
        known = values >= 0 if values.dtype.kind in "iu" else np.ones(size, dtype=bool)
    return [flag if there else None for flag, there in zip(_integers(values, size), known.tolist(), strict=True)]


def _integers(values, size):
    """Whole numbers; 0 for what is missing. Numbers written as text count, 15 digits stay exact."""
    if values is None:
        return [0] * size
    result = []
    for value in values.tolist():
        try:
            result.append(max(int(value), 0))
        except (TypeError, ValueError, OverflowError):
            result.append(0)
    return result


def title_lines(row):
    """What stands above a cutout.

    Parameters
    ----------
    row : MeasuredRow

    Returns
    -------
    list of str
        Wavelength and detector; date; flux; names of the flags.
    """
    detector = f"D{row.detector}" if row.detector else "detector unknown"
    wavelength = f"{row.wavelength:.4f} µm" if np.isfinite(row.wavelength) else "no wavelength"
    return [f"{wavelength} · {detector}", date_text(row.mjd), flux_text(row), flag_text(row.flags)]


def short_title_lines(row):
    """What stands above a small cutout: wavelength and detector, names of the flags; list of str."""
    wavelength, _, detector = title_lines(row)[0].partition(" · ")
    if np.isfinite(row.wavelength):
        wavelength = f"{row.wavelength:.3f} µm"
    return [f"{wavelength} {detector}", flag_text(row.flags)]


def flux_text(row):
    """Flux with its error, digits as the error allows."""
    unit = row.flux_unit.replace("uJy", "µJy")
    if not np.isfinite(row.flux):
        return "no flux"
    return f"{with_error(row.flux, row.flux_err)} {unit}"


def flag_text(flags):
    """Names of flags, the one that most rows have (SOURCE) last."""
    if flags is None:
        return "flags unknown"
    names = Flag.decode(flags)
    return ", ".join(sorted(names, key=lambda name: name == "SOURCE")) or "no flag"
