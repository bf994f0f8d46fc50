"""Check-up: whether the position is right, and what else is nearby."""

from typing import NamedTuple

import numpy as np

from ..model.detectors import PIXEL_SCALE_ARCSEC
from ..model.wording import counted
from .columns import background_box_px, column_values, find_column, kind_of
from .finding import Finding
from .positions import position_columns
from .targets import distance_arcsec, match_sources, sources_in, target_of_source

#: An offset is one if it is this many times its error: chance alone makes one of two coordinates in 1 of 370 sources,
#: exp(-3.44²/2) …
OFFSET_SIGMA = 3.44
#: … and it matters from here on, in pixels: with a PSF of σ = 0.5 px a fit at the wrong place loses
#: 1 - exp(-offset²/4σ²): 1 % at 0.1 px, 9 % at 0.3 px.
OFFSET_WARN_PX = 0.1
OFFSET_BAD_PX = 0.3
#: Entries of other catalogues within this distance of a source are the source itself.
ITSELF_ARCSEC = 1.0
#: Others are looked for within this many background boxes.
BOXES = 2.0
#: A source that was not fitted matters if its light reaches into the circle of 2.5 px, that is within these pixels.
BLENDING_PX = 5.0

_NAMED = 3
_OFFSETS = ("offset_east", "offset_north", "offset_east_err", "offset_north_err")
_LABEL_NAMES = ("label", "name", "source_name", "designation", "id", "source_id")


def position_line(spectrum, others):
    """Whether the light is where it was expected, from the offset that a measurement reports."""
    offset = measured_offset(spectrum, others)
    if offset is None:
        text = "The position was not checked: no targets with measured offsets are loaded (targets.ecsv of a result). "
        return Finding("position", "note", text + "Look at the cutouts.")
    east, north, east_err, north_err = offset
    size = float(np.hypot(east, north))
    error = float(np.hypot(east * east_err, north * north_err) / size) if size else float(np.hypot(east_err, north_err))
    sigma = float(np.hypot(east / east_err, north / north_err))
    pixels = size / PIXEL_SCALE_ARCSEC
    digits = 2 if size >= 0.1 else 3
    figure = f"{size:.{digits}f}″ ± {error:.{digits}f}″ ({pixels:.{digits}f} px)"
    if sigma < OFFSET_SIGMA:
        if max(east_err, north_err) > OFFSET_BAD_PX * PIXEL_SCALE_ARCSEC:
            return Finding("position", "note", f"The offset of the light is too uncertain to judge: {figure}.")
        return Finding("position", "good", f"The light is where the position is: the offset is {figure}.")
    text = f"The light is {figure} from the position, {_direction(east, north)}: "
    if pixels < OFFSET_WARN_PX:
        return Finding("position", "good", text + f"too little to matter ({OFFSET_WARN_PX} px does).")
    level = "bad" if pixels >= OFFSET_BAD_PX else "warn"
    return Finding("position", level, text + "check the coordinates and the proper motion.")


def measured_offset(spectrum, others):
    """The offset of the light from the position of a source.

    Parameters
    ----------
    spectrum : SourceSpectrum
    others : iterable of glue.core.Data
        Targets with the columns offset_east, offset_north and their errors, among others.

    Returns
    -------
    ndarray, shape (4,), or None
        East, North, and their 1-sigma errors, arcsec; None where no target list has it.
    """
    for targets in others:
        if kind_of(targets) != "targets":
            continue
        columns = [column_values(targets, name) for name in _OFFSETS]
        if any(values is None or values.dtype.kind not in "iuf" for values in columns):
            continue
        row = target_of_source(targets, spectrum.data, spectrum.source.source_id)
        if row is None:
            continue
        offset = np.array([values[row] for values in columns], dtype=float)
        if np.isfinite(offset).all() and (offset[2:] > 0).all():
            return offset
    return None


def _direction(east, north):
    """Towards where, as one of eight directions."""
    names = ("North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West")
    return "to the " + names[int(np.round(np.degrees(np.arctan2(east, north)) / 45)) % 8]


# -- neighbours -------------------------------------------------------------------------------------------------------


class Neighbour(NamedTuple):
    """A source near the one that is looked at."""

    name: str
    distance_arcsec: float
    fitted: bool  # measured together with it

    def __str__(self):
        pixels = self.distance_arcsec / PIXEL_SCALE_ARCSEC
        return f"{self.name} at {self.distance_arcsec:.1f}″ ({pixels:.1f} px)"


def neighbours_line(spectrum, others):
    """What else is within two background boxes."""
    if not np.isfinite([spectrum.source.ra, spectrum.source.dec]).all():
        return Finding("neighbours", "note", "Neighbours cannot be looked for: the table has no ra and dec.")
    radius = BOXES * background_box_px(spectrum.data) * PIXEL_SCALE_ARCSEC
    found, n_catalogues = neighbours(spectrum, others, radius)
    looked = "the sources of this table" + (f" and {counted(n_catalogues, 'catalogue')}" if n_catalogues else "")
    if not found and not n_catalogues and len(sources_in(spectrum.data).ids) == 1:
        text = "Neighbours are not known: the table holds this source alone. Load a catalogue with ra and dec."
        return Finding("neighbours", "note", text)
    if not found:
        return Finding("neighbours", "good", f"Nothing else within {radius:.0f}″, as far as {looked} can tell.")
    named = ", ".join(map(str, found[:_NAMED])) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    blended = [n for n in found if not n.fitted and n.distance_arcsec < BLENDING_PX * PIXEL_SCALE_ARCSEC]
    text = f"{counted(len(found), 'source')} within {radius:.0f}″: {named}."
    if blended:
        return Finding("neighbours", "warn", text + f" Not fitted with it, but close: {blended[0].name}.")
    close = any(n.distance_arcsec < BLENDING_PX * PIXEL_SCALE_ARCSEC for n in found)
    return Finding("neighbours", "note", text + (" The close ones were measured with it." if close else ""))


def neighbours(spectrum, others, radius_arcsec):
    """The sources near the one that is looked at.

    Parameters
    ----------
    spectrum : SourceSpectrum
    others : iterable of glue.core.Data
        Catalogues; those without columns of right ascension and declination are passed over.
    radius_arcsec : float

    Returns
    -------
    list of Neighbour
        The nearest first.
    n_catalogues : int
        Number of other catalogues that were looked at.
    """
    sources = sources_in(spectrum.data)
    ra, dec = spectrum.source.ra, spectrum.source.dec
    own = sources.ids == spectrum.source.source_id
    found = []
    for label, number, distance in zip(sources.labels, sources.ids, distance_arcsec(ra, dec, sources.ra, sources.dec)):
        if number != spectrum.source.source_id and distance <= radius_arcsec:
            found.append(Neighbour(label or f"source {number}", float(distance), True))
    known_ra, known_dec = np.r_[sources.ra[own], sources.ra[~own]], np.r_[sources.dec[own], sources.dec[~own]]
    n_catalogues = 0
    for other in others:
        names, ras, decs = _places(other, sources)
        n_catalogues += bool(len(names))
        distances = distance_arcsec(ra, dec, ras, decs)
        for k in np.flatnonzero(distances <= radius_arcsec):
            nearest = distance_arcsec(ras[k], decs[k], known_ra, known_dec)
            if not (nearest < ITSELF_ARCSEC).any():
                name = f"{names[k]} ({other.label})" if names[k] else f"a source of {other.label}"
                found.append(Neighbour(name, float(distances[k]), False))
                known_ra, known_dec = np.r_[known_ra, ras[k]], np.r_[known_dec, decs[k]]
    return sorted(found, key=lambda neighbour: neighbour.distance_arcsec), n_catalogues


def _places(data, measured):
    """Names, right ascensions and declinations (deg) of a catalogue; empty where it is none.

    Of spectra and target lists, the sources that were measured are left out: they may have moved since the epoch of
    the list.
    """
    empty = np.zeros(0)
    if data.ndim != 1 or data.size == 0:
        return [], empty, empty
    if kind_of(data) in ("spectrum", "targets"):
        sources = sources_in(data)
        new = match_sources(sources, measured) < 0
        return list(sources.labels[new]), sources.ra[new], sources.dec[new]
    pair = position_columns(data) if not kind_of(data) else (None, None)  # images are no sources
    if None in pair:
        return [], empty, empty
    ra, dec = (np.asarray(data.get_data(cid), dtype=float) for cid in pair)
    labels = _column_of(data, _LABEL_NAMES)
    names = [f"row {row}" for row in range(data.size)] if labels is None else [str(label) for label in labels]
    return names, ra, dec


def _column_of(data, names):
    """The first column that has one of the names, whatever the case."""
    for name in names:
        cid = find_column(data, name)
        if cid is None:
            cid = next((cid for cid in data.main_components if cid.label.lower() == name), None)
        if cid is not None:
            return np.asarray(data.get_data(cid))
    return None
