"""The whole way through glue where there is no Qt: load, link, flag subset, save."""

import os
import subprocess
import sys

import numpy as np

from glue_spherex import read_spectra, write_spectra

CODE = """
import sys

class NoQt:
    names = ("qtpy", "PyQt5", "PyQt6", "PySide2", "PySide6", "glue_qt")
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoQt())

from glue.core import DataCollection
from glue.core.data_factories import load_data
from glue.main import load_plugins

load_plugins()
from glue.config import data_exporter, data_factory

assert any(f.label == "SPHEREx spectrum" for f in data_factory)
data, targets = load_data("spectra.vot"), load_data("list.csv")
collection = DataCollection([data, targets])

from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.links import link_all
from specutils import Spectrum

link_all(collection)
collection.new_subset_group("bad fit", FlagSubsetState(data.id["flags"], 1 << 33))
assert data.get_object(cls=Spectrum, source_id=1).flux.size == 7
(export,) = [e.function for e in data_exporter if e.label == "SPHEREx spectrum, ECSV"]
export("bad.ecsv", data.subsets[0])
assert targets.subsets[0].to_mask().all()
loaded = sorted({name.partition(".")[0] for name in sys.modules} & set(NoQt.names))
sys.exit(f"imported: {loaded}" if loaded else 0)
"""


def test_without_qt(tmp_path, made_spectrum):
    table = made_spectrum()
    write_spectra(table, tmp_path / "spectra.vot")
    (tmp_path / "list.csv").write_text("ra,dec,name,sersic_n\n150,2,0000,\n150.01,2.01,0001,\n")
    environment = {**os.environ, "GLUE_SPHEREX_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = np.asarray(table["flags"]) >> 33 == 1
    np.testing.assert_array_equal(read_spectra(tmp_path / "bad.ecsv")["lvf_id"], table["lvf_id"][rows])
