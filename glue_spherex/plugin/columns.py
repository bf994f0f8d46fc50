"""Which glue data are ours, and which of their components is which column."""

import numpy as np


def plugin_meta(data):
    """What this plugin keeps with a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    dict
        ``data.meta["spherex"]``; an empty one for data that come from elsewhere.
    """
    found = getattr(data, "meta", {}).get("spherex")
    return found if isinstance(found, dict) else {}


def kind_of(data):
    """What this plugin loaded a dataset as.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    {"spectrum", "image", "images", "targets", ""}
        '' for data that come from elsewhere.
    """
    return str(plugin_meta(data).get("kind", ""))


def spectra_in(data_collection):
    """The datasets of a collection that are spectrum tables, in their order.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.Data
    """
    return [data for data in data_collection if kind_of(data) == "spectrum"]


def find_column(data, name):
    """The component that holds a column, also after the user renamed it.

    Parameters
    ----------
    data : glue.core.Data
    name : str
        As in the spectrum table: ``wavelength``, ``flux``, ``flags``…

    Returns
    -------
    glue.core.ComponentID or None
        The component of that name; else the one that stands where the column was loaded, unless it is called as
        another column; None where there is none, or where columns were put in another order as well.
    """
    for cid in (*data.main_components, *data.derived_components):
        if cid.label == name:
            return cid
    loaded = plugin_meta(data).get("columns", [])
    components = data.main_components
    if name not in loaded or loaded.index(name) >= len(components):
        return None
    cid = components[loaded.index(name)]
    moved = any(c.label != column and c.label in loaded for c, column in zip(components, loaded))
    return None if moved or cid.label in loaded else cid


def column_values(data, name, view=None):
    """The values of a column.

    Parameters
    ----------
    data : glue.core.Data
    name : str
    view : slice, int, or index array, optional
        Rows to take.

    Returns
    -------
    ndarray or None
        Text columns as text; None where the dataset has no such column.
    """
    cid = find_column(data, name)
    if cid is None:
        return None
    values = data.get_data(cid, view=view)
    return np.asarray(values)


def source_numbers(data):
    """The number of the source of each row.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    ndarray of int, shape (n,)
        The column ``source_id``; its sources numbered in their order where it does not hold whole numbers that fit
        into 64 bits; all 0 where there is none.
    """
    ids = column_values(data, "source_id")
    if ids is None:
        return np.zeros(data.size, dtype=np.int64)
    kind = ids.dtype.kind
    if kind in "bi" or (kind == "u" and not (ids >= 1 << 63).any()):
        return ids.astype(np.int64)
    if kind == "f" and np.isfinite(ids).all() and (ids == np.rint(ids)).all() and (np.abs(ids) < 1 << 53).all():
        return ids.astype(np.int64)
    return numbered(ids)


def numbered(values):
    """Number values in the order in which they occur first.

    Parameters
    ----------
    values : array_like, shape (n,)

    Returns
    -------
    ndarray of int, shape (n,)
    """
    _, first, number = np.unique(values, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def background_box_px(data):
    """Side of the box that the local background of a spectrum was taken from.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    int or float
        In pixels; 15, IRSA's default, where the spectrum does not tell.
    """
    ours = data.meta.get("glue_spherex")
    settings = ours.get("settings") if isinstance(ours, dict) else None
    box = settings.get("background_box") if isinstance(settings, dict) else None
    return box if isinstance(box, int | float) and not isinstance(box, bool) and box > 0 else 15
