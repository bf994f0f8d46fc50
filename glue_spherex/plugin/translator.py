"""From glue data back to tables and specutils spectra, and from spectra to glue data.

`to_table` is what the exporters write. With the translators of this module glue itself hands out spectra:
``data.get_object(cls=Spectrum, source_id=3)``, ``data.get_subset_object("clean", cls=Spectrum)``, and takes them in:
``data_collection["name"] = spectrum``.
"""

import numpy as np
from glue.config import data_translator
from glue.core.component import CategoricalComponent
from glue.core.subset import Subset

from ..io.columns import FileColumn, FileTable, in_schema, json_like, to_qtable
from ..io.errors import TableFileError
from ..model import COLUMNS, SpectrumError
from .columns import find_column, kind_of
from .loader import spectrum_data
from .opening import in_ranges

_PROVENANCE = {"flags", "fit_ql", "det_id", "lvf_id", "obs_publisher_did", "flux_bkg", "lambda_width", "x_image"}


# -- tables -----------------------------------------------------------------------------------------------------------


def to_table(data, source_id=None, components=None):
    """The spectrum table of glue data.

    Parameters
    ----------
    data : glue.core.Data or glue.core.Subset
        A spectrum that this plugin loaded, or a subset of one.
    source_id : int or str, optional
        Only the rows of this source.
    components : list of glue.core.ComponentID, optional
        Only these columns.

    Returns
    -------
    QTable
        The rows in their order, with units, descriptions and metadata as in the file. A column that was renamed has
        the name that it had in the file; columns that were added have their labels.

    Raises
    ------
    SpectrumError
        If the data are no spectrum, lack wavelength or flux, or have no such source.
    """
    rows = rows_of(data, source_id)
    data = data.data if isinstance(data, Subset) else data
    about = data.meta["spherex"]
    columns = []
    identifiers = about.get("identifiers")
    for cid, name in _column_names(data).items():
        if identifiers and name in ("source_id", identifiers):  # the file has the text in the place of the number
            cid, name = (find_column(data, identifiers), name) if name == "source_id" else (None, name)
        if cid is not None and (components is None or cid in components):
            columns.append(_file_column(data, cid, name, rows))
    meta = {key: value for key, value in data.meta.items() if key != "spherex"}
    if about.get("image_folders"):  # those that the user named go with the spectrum
        own = dict(meta.get("glue_spherex") or {})
        folders = [*about["image_folders"], *own.get("image_folders", [])]
        meta["glue_spherex"] = {**own, "image_folders": list(dict.fromkeys(folders))}
    try:
        return to_qtable(in_schema(FileTable(columns, json_like(meta))))
    except TableFileError as error:
        raise SpectrumError(f"{data.label!r} is no spectrum table any more: {error}.") from None


def rows_of(data, source_id=None):
    """The row numbers of a dataset or subset, or of one source in it.

    Parameters
    ----------
    data : glue.core.Data or glue.core.Subset
        As for `to_table`.
    source_id : int or str, optional

    Returns
    -------
    ndarray of int, shape (n,)

    Raises
    ------
    SpectrumError
        If the data are no spectrum, or have no such source.
    """
    whole = data.data if isinstance(data, Subset) else data
    if kind_of(whole) != "spectrum":
        raise SpectrumError(f"{whole.label!r} is no SPHEREx spectrum; load one, or choose another dataset.")
    rows = np.flatnonzero(data.to_mask()) if isinstance(data, Subset) else np.arange(whole.size)
    if source_id is None:
        return rows
    cid = find_column(whole, (isinstance(source_id, str) and whole.meta["spherex"].get("identifiers")) or "source_id")
    known = np.asarray(whole.get_data(cid))[rows] if cid is not None else np.zeros(len(rows), int)
    chosen = known == source_id
    if not np.any(chosen):
        listed = ", ".join(map(str, dict.fromkeys(known.tolist()))) or "no source"
        raise SpectrumError(f"{data.label!r} has no source with source_id {source_id!r}; it has {listed[:300]}.")
    return rows[chosen]


def _column_names(data):
    """The name of each component in a table: that of the column it was loaded as, else its own label."""
    loaded = data.meta["spherex"].get("columns", [])
    known = {}
    for name in dict.fromkeys([*loaded, *(spec.name for spec in COLUMNS)]):
        cid = find_column(data, name)
        if cid is not None:
            known.setdefault(cid, name)
    taken, names = set(known.values()), {}
    for cid in [*data.main_components, *data.derived_components]:
        name, number = known.get(cid, cid.label), 1
        while cid not in known and name in taken:
            number += 1
            name = f"{cid.label}_{number}"
        taken.add(name)
        names[cid] = name
    return names


def _file_column(data, cid, name, rows):
    about, component = data.meta["spherex"], data.get_component(cid)
    values = np.asarray(data.get_data(cid))
    missing = in_ranges(about.get("missing", {}).get(name, ()), len(values))
    values, missing = values[rows], missing[rows]
    if isinstance(component, CategoricalComponent) or values.dtype.kind in "SO":
        values = values.astype(str)
    elif values.dtype.kind in "iu":
        missing &= values == 0
        if name in about.get("truth_values", ()) and np.isin(values, (0, 1)).all():
            values = values.astype(bool)
    return FileColumn(
        name,
        values,
        missing if missing.any() and values.dtype.kind in "biu" else None,
        unit=component.units or "",
        description=about.get("descriptions", {}).get(name, ""),
        ucd=about.get("ucds", {}).get(name, ""),
    )


# -- spectra ----------------------------------------------------------------------------------------------------------


def to_spectrum(data, source_id=None, *, mask_flags=0):
    """The spectrum of one source as specutils knows it: sorted by wavelength.

    Parameters
    ----------
    data : glue.core.Data or glue.core.Subset
        As for `to_table`.
    source_id : int or str, optional
        The source; may be left out if there is only one.
    mask_flags : int or Flag, optional
        Flags whose points are masked as well.

    Returns
    -------
    specutils.Spectrum
        As from `glue_spherex.to_spectrum`; ``meta["row"]`` are row numbers of the dataset, also for a subset.

    Raises
    ------
    SpectrumError
        As for `to_table`; and if there are several sources and none is named.
    """
    from ..io.specutils import to_spectrum as spectrum_of

    rows = rows_of(data, source_id)
    spectrum = spectrum_of(to_table(data, source_id), mask_flags=mask_flags)
    spectrum.meta["row"] = rows[spectrum.meta["row"]]
    return spectrum


def from_spectrum(spectrum):
    """Glue data of specutils spectra.

    Parameters
    ----------
    spectrum : specutils.Spectrum or sequence of them
        See `glue_spherex.io.from_spectrum`.

    Returns
    -------
    glue.core.Data
        As `load_spectrum` gives it, without a label.
    """
    from ..io.specutils import from_spectrum as table_of

    return spectrum_data(table_of(spectrum))


class _NamedClass(type):
    """A stand-in for a class that has not been imported: objects of that class, and the class itself, are instances.

    glue looks translators up with ``isinstance``, so that the real class, whose import takes seconds, is not needed
    before somebody has an object of it.
    """

    def __instancecheck__(cls, thing):
        kinds = (thing if isinstance(thing, type) else type(thing)).__mro__
        return any(kind.__name__ in cls.names and kind.__module__.partition(".")[0] == "specutils" for kind in kinds)


class SpectrumLike(metaclass=_NamedClass):
    """Stands for ``specutils.Spectrum``, and ``Spectrum1D`` of older versions."""

    names = ("Spectrum", "Spectrum1D")


class SpectrumListLike(metaclass=_NamedClass):
    """Stands for ``specutils.SpectrumList``."""

    names = ("SpectrumList",)


def _next_handler(own, class_name):
    """The handler of another plugin for a class of specutils; None where there is none."""
    import specutils

    wanted = getattr(specutils, class_name)
    for translator in data_translator:
        target = translator.target_cls
        if translator.handler is own or isinstance(target, _NamedClass) or not isinstance(target, type):
            continue
        if issubclass(wanted, target) or issubclass(target, wanted):
            return translator.handler
    return None


def _is_ours(spectrum):
    return len(_PROVENANCE & set(spectrum.meta)) >= 2


@data_translator(SpectrumLike, priority=10)
class SpectrumTranslator:
    """Spectra of our data; data and spectra of others are left to glue-astronomy where it is installed."""

    def to_data(self, spectrum):
        """Glue data of a spectrum: ours with its columns; any other if no other translator is there to take it."""
        other = None if _is_ours(spectrum) else _next_handler(self, "Spectrum")
        return from_spectrum(spectrum) if other is None else other.to_data(spectrum)

    def to_object(self, data, attribute=None, source_id=None, mask_flags=0, **options):
        """The spectrum of a dataset or subset; see `to_spectrum`."""
        whole = data.data if isinstance(data, Subset) else data
        if kind_of(whole) != "spectrum":
            other = _next_handler(self, "Spectrum")
            if other is not None:
                return other.to_object(data, attribute=attribute, **options)
        flux = find_column(whole, "flux")
        if not (attribute is None or attribute is flux or str(attribute) == "flux"):
            raise SpectrumError(f"attribute is {attribute!r}; only the flux of {whole.label!r} makes a spectrum.")
        return to_spectrum(data, source_id, mask_flags=mask_flags)


@data_translator(SpectrumListLike, priority=10)
class SpectrumListTranslator:
    """All sources of our data, one spectrum each."""

    def to_data(self, spectra):
        """Glue data of several spectra, a source each."""
        other = None if all(map(_is_ours, spectra)) else _next_handler(self, "SpectrumList")
        return from_spectrum(spectra) if other is None else other.to_data(spectra)

    def to_object(self, data, mask_flags=0, **options):
        """The spectra of a dataset or subset, in the order of the sources' first rows."""
        from specutils import SpectrumList

        whole = data.data if isinstance(data, Subset) else data
        rows = rows_of(data)
        cid = find_column(whole, "source_id")
        ids = [None] if cid is None else dict.fromkeys(np.asarray(whole.get_data(cid))[rows].tolist())
        return SpectrumList([to_spectrum(data, number, mask_flags=mask_flags) for number in ids])
