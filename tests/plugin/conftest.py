import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import DataCollection
from glue.core.application_base import Application
from glue.core.state import GlueSerializer, GlueUnSerializer

from glue_spherex import plugin
from glue_spherex.model.spectrum import COLUMNS, new_table


@pytest.fixture
def made_spectrum():
    """``made_spectrum(n_sources, n, **columns)``: a spectrum table of made-up numbers; columns may be given."""
    plugin.setup()

    def make(n_sources=2, n=7, **given):
        rng = np.random.default_rng(5)
        size = n_sources * n
        kinds = {"float": rng.normal(size=size), "int": np.arange(size), "bool": np.arange(size) % 2 == 0}
        columns = {c.name: kinds.get(c.dtype, np.full(size, "x")) for c in COLUMNS}
        columns["source_id"] = np.repeat(np.arange(n_sources), n)
        columns["label"] = np.repeat([f"{k:04d}" for k in range(n_sources)], n)
        columns["ra"] = 150.0 + 0.01 * columns["source_id"]
        columns["dec"] = 2.0 + 0.01 * columns["source_id"]
        columns["wavelength"] = rng.uniform(0.75, 5.0, size)
        columns["flux_err"] = np.abs(columns["flux_err"])
        columns["det_id"] = np.arange(size) % 6 + 1
        columns["flags"] = np.where(np.arange(size) % 3, 0, (1 << 33) + (1 << 21))
        columns["lvf_id"] = 202551101068423 + np.arange(size)
        table = new_table(columns | given)
        table.meta["glue_spherex"] = {"version": "0.1", "settings": {"background_box": 15}, "image_folders": ["a"]}
        return table

    return make


@pytest.fixture
def restored():
    """``restored(data_collection, include_data=False)``: what a saved and restored session holds."""

    def restore(data_collection, include_data=False):
        if not isinstance(data_collection, DataCollection):
            data_collection = DataCollection(data_collection)
        text = GlueSerializer(Application(data_collection), include_data=include_data).dumps()
        return GlueUnSerializer.loads(text).object("__main__").data_collection

    return restore
