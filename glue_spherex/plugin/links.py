"""The links between our data: which columns are the same quantity, and which rows belong together.

* spectra with spectra: the columns of the schema, so that a subset by flag or wavelength holds in all of them;
* target lists with spectra: the rows of a source, where both speak of the same sources;
* tables of images with spectra: the rows of an exposure and detector;
* sky positions of all of them with each other, with our images, and with catalogues that have ra and dec in degrees.
"""

import numpy as np
from glue.config import autolinker, settings
from glue.core import Data
from glue.core.link_helpers import JoinLink, LinkSame

from ..model import COLUMNS
from .columns import column_values, find_column, kind_of
from .positions import position_columns
from .targets import FARTHEST_NAMESAKE_ARCSEC, SAME_PLACE_ARCSEC, distance_arcsec, match_sources, sources_in

LABEL = "SPHEREx"

#: Of this many spectra all columns are linked, of further ones the essential ones: what glue does with each change of
#: the data takes a time that grows with the square of the number of links, times the number of datasets.
MOST_LINKED_WHOLE = 4
ESSENTIAL = ("wavelength", "flux", "flux_err", "flags", "mjd", "det_id", "lvf_id")

_OF_SOURCES = ("source_id", "label")  # equal numbers mean the same only in lists of the same sources


def link_all(data_collection):
    """Make the links between the SPHEREx data of a collection that are missing.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.link_helpers.LinkCollection
        The links that were added; calling it again adds none.
    """
    _forget_removed(data_collection)
    links = missing_links(data_collection)
    data_collection.add_link(links)
    return links


def missing_links(data_collection):
    """The links that `link_all` would add.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.link_helpers.LinkCollection
    """
    present = [data for data in data_collection if isinstance(data, Data)]
    by_kind = {kind: [data for data in present if kind_of(data) == kind] for kind in ("spectrum", "targets", "images")}
    links = []
    for number, other in enumerate(by_kind["spectrum"][1:], 2):
        links += _same_columns(by_kind["spectrum"][0], other, None if number <= MOST_LINKED_WHOLE else ESSENTIAL)
    for table, keys in (("targets", _source_keys), ("images", _image_keys)):
        for data in by_kind[table]:
            for spectra in by_kind["spectrum"]:
                if spectra not in data._key_joins and (key := keys(data, spectra)):
                    cids = [find_column(data, key)], [find_column(spectra, key)]
                    links.append(JoinLink(cids1=cids[0], cids2=cids[1], data1=data, data2=spectra))
    return links + _sky_links(present)


def accept_unless_chosen():
    """Let glue make the links without its modal question, unless the user has chosen otherwise in the preferences."""
    settings.AUTOLINK.setdefault(LABEL, "always_accept")


@autolinker(LABEL)
def autolink(data_collection):
    """What glue asks for after data were loaded; the answer is taken without a question unless the user wants one."""
    accept_unless_chosen()
    _forget_removed(data_collection)
    return missing_links(data_collection)


def _forget_removed(data_collection):
    """Remove joins with data that are no longer there; glue leaves them."""
    present = data_collection.data
    links = data_collection._link_manager.external_links  # the list itself: removing by equality would compare arrays
    stale = [a for a in links if isinstance(a, JoinLink) and not (a.data1 in present and a.data2 in present)]
    for link in stale:
        for data, other in ((link.data1, link.data2), (link.data2, link.data1)):
            data._key_joins.pop(other, None)
    links[:] = [link for link in links if not any(link is one for one in stale)]


# -- the same quantity ------------------------------------------------------------------------------------------------


def _same_columns(first, other, names=None):
    """Links of the columns of two spectra, or of some of them, that are the same quantity in the same unit."""
    known = [spec.name for spec in COLUMNS if spec.dtype != "text" and spec.name not in (*_OF_SOURCES, "ra", "dec")]
    names = [name for name in known if names is None or name in names]
    if _same_sources(first, other) == "source_id":
        names.append("source_id")
    links = []
    for name in names:
        a, b = find_column(first, name), find_column(other, name)
        if a is None or b is None or _are_linked(first, a, other, b):
            continue
        if _unit(first, a) == _unit(other, b) and "iuf".count(_kind(first, a)) and "iuf".count(_kind(other, b)):
            links.append(LinkSame(a, b))
    return links


def _are_linked(first, a, other, b):
    return a in other._externally_derivable_components or b in first._externally_derivable_components


def _unit(data, cid):
    import astropy.units as u

    text = data.get_component(cid).units or ""
    unit = u.Unit(text, parse_strict="silent")
    return text if isinstance(unit, u.UnrecognizedUnit) else unit


def _kind(data, cid):
    return data.get_data(cid, view=np.s_[:1]).dtype.kind


def _sky_links(present):
    """Links of the positions: all with the first dataset of ours that has them."""
    ours = [d for kind in ("targets", "spectrum", "image") for d in present if kind_of(d) == kind]
    ours = [data for data in ours if _sky(data)]
    if not ours:
        return []
    centre, links = ours[0], []
    others = [d for d in present if not kind_of(d) and d.ndim == 1 and _sky(d)]
    for data in [*ours[1:], *others]:
        for a, b in zip(_sky(centre), _sky(data)):
            if not _are_linked(centre, a, data, b):
                links.append(LinkSame(a, b))
    return links


def _sky(data):
    """The components with right ascension and declination in degrees; None where there are none."""
    if kind_of(data) == "image":
        ids = data.world_component_ids
        return (ids[1], ids[0]) if len(ids) == 2 else None
    pair = (find_column(data, "ra"), find_column(data, "dec")) if kind_of(data) else position_columns(data)
    return pair if None not in pair and _in_degrees(data, pair) else None


def _in_degrees(data, pair):
    if any(_kind(data, cid) not in "iuf" for cid in pair):
        return False
    units = {str(data.get_component(cid).units or "").lower() for cid in pair}
    if units <= {"deg", "degree", "degrees"}:
        return True
    ra, dec = (np.asarray(data.get_data(cid), dtype=float) for cid in pair)
    ra, dec = ra[np.isfinite(ra)], dec[np.isfinite(dec)]
    inside = ra.size and dec.size and ra.min() >= -180 and ra.max() <= 360 and np.abs(dec).max() <= 90
    return units == {""} and bool(inside)


# -- rows that belong together ----------------------------------------------------------------------------------------


def _source_keys(targets, spectra):
    """The column by which a target list and a spectrum are joined; '' if they speak of different sources."""
    return _same_sources(targets, spectra)


def _same_sources(first, second):
    """By which column the sources of two datasets can be told to be the same: "source_id", "label" or ''."""
    if not first.size or not second.size:
        return ""
    a, b = _sources(first), _sources(second)
    if a is None or b is None:
        return ""
    match = match_sources(a, b)
    paired = np.flatnonzero(match >= 0)
    paired = paired[_are_near(a, b, paired, match[paired])]
    if not len(paired):
        return ""
    common = np.flatnonzero(np.isin(a.ids, b.ids))
    same = paired[a.ids[paired] == b.ids[match[paired]]]
    if len(common) and np.isin(common, same).all():
        return "source_id"
    common = np.flatnonzero(np.isin(a.labels, b.labels) & (a.labels != ""))
    unique = len(set(a.labels[common])) == len(common)
    named = "label" if len(common) and unique and np.isin(common, paired).all() else ""
    return named if find_column(first, "label") and find_column(second, "label") else ""


def _sources(data):
    """The sources of a dataset, without the rows of a list that are none; None if it does not number them."""
    ids = column_values(data, "source_id")
    if ids is None or ids.dtype.kind not in "iu":
        return None
    found = sources_in(data)
    return type(found)(*(values[found.ids >= 0] for values in found))


def _are_near(a, b, rows, others):
    """Whether paired sources can be the same: no farther apart than their names or their motion allow."""
    distance = distance_arcsec(a.ra[rows], a.dec[rows], b.ra[others], b.dec[others])
    named = (a.labels[rows] == b.labels[others]) & (a.labels[rows] != "")
    return ~(distance > np.where(named, FARTHEST_NAMESAKE_ARCSEC, SAME_PLACE_ARCSEC))


def _image_keys(images, spectra):
    """The column by which a table of images and a spectrum are joined; '' if they have no image in common.

    The number of the exposure ends with that of the detector. Where it is unknown it is 0, which says nothing.
    """
    for name, blank in (("lvf_id", 0), ("obs_publisher_did", "")):
        here, there = column_values(images, name), column_values(spectra, name)
        if here is None or there is None or (here.dtype.kind == "U") != (there.dtype.kind == "U"):
            continue
        common = np.intersect1d(here, there)
        if len(common) and blank not in common:
            return name
    return ""
