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
        another column; None where there is none.
    """
    for cid in (*data.main_components, *data.derived_components):
        if cid.label == name:
            return cid
    loaded = plugin_meta(data).get("columns", [])
    components = data.main_components
    if name in loaded and loaded.index(name) < len(components):
        cid = components[loaded.index(name)]
        return None if cid.label in loaded else cid
    return None


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
