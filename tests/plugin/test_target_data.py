"""Target lists and tables of images as glue data."""

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from glue.core.data_factories import find_factory, load_data

from glue_spherex.images import ImageFileError, read_record
from glue_spherex.io import TargetListError
from glue_spherex.plugin.columns import kind_of
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.measuring.target_lists import targets_of_layer
from glue_spherex.plugin.target_data import (
    images_table,
    load_images_table,
    load_targets,
    target_table_from,
)

LIST = """name,ra,dec,sersic_n,r_eff,mag
a,150.1,2.2,,,17.5
b,400,2.2,,,18
0012,150.2,2.3,1.5,3.0,19
a,150.3,2.4,,,20
"""


@pytest.fixture
def listed(tmp_path, made_spectrum):
    (tmp_path / "list.csv").write_text(LIST)
    return tmp_path / "list.csv"


def test_good_rows_are_numbered_as_they_are_measured(listed):
    assert find_factory(str(listed)) is load_targets
    data = load_data(str(listed))
    assert kind_of(data) == "targets"
    assert data["source_id"].tolist() == [0, 1, 2]
    assert data["label"].tolist() == ["a", "0012", "a_2"]
    assert data["ra"].tolist() == [150.1, 150.2, 150.3]
    assert data["row"].tolist() == [1, 3, 4]
    np.testing.assert_array_equal(data["sersic_n"], [np.nan, 1.5, np.nan])
    assert data["mag"].tolist() == [17.5, 19.0, 20.0]
    assert data.get_component("ra").units == "deg"


def test_rejected_rows_are_told(listed):
    data = load_data(str(listed))
    assert data.label == "list (1 of 4 rows rejected)"
    (said,) = data.meta["spherex"]["rejected"]
    assert said.startswith("row 2: ra is 400")


@pytest.mark.parametrize(
    "head", ["ra,dec,mag", "ra,dec,pmra,pmdec,designation,source_id", "x,y", "name,status,source_id", "ra,dec,status"]
)
def test_other_catalogues_are_left_to_others(tmp_path, made_spectrum, head):
    path = tmp_path / "catalogue.csv"
    path.write_text(f"{head}\n{','.join('1' for _ in head.split(','))}\n")
    assert find_factory(str(path)) is not load_targets


def test_any_table_can_be_loaded_as_a_list(tmp_path, made_spectrum):
    path = tmp_path / "gaia.vot"
    Table({"RA_ICRS": [1.0, 2.0], "DE_ICRS": [3.0, 4.0], "Gmag": [10.0, 11.0]}).write(path, format="votable")
    data = load_data(str(path), factory=load_targets)
    assert data["dec"].tolist() == [3.0, 4.0]
    assert data["Gmag"].tolist() == [10.0, 11.0]


def test_columns_can_be_named(tmp_path, restored, made_spectrum):
    """The names are kept in a session."""
    path = tmp_path / "pairs.csv"
    path.write_text("ra,dec,ra2,dec2\n1,2,3,4\n")
    data = load_data(str(path), factory=load_targets, ra="ra2", dec="dec2")
    for one in (data, *restored([data])):
        assert (one["ra"].tolist(), one["dec"].tolist()) == ([3.0], [4.0])
        assert one["ra_in_list"].tolist() == [1.0]


def test_lists_that_cannot_be_read(tmp_path, made_spectrum):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TargetListError, match=r"x.csv: no column looks like ra or dec"):
        load_targets(str(tmp_path / "x.csv"))
    with pytest.raises(FileNotFoundError, match="there is no such file, so the target list cannot be loaded"):
        load_targets(str(tmp_path / "gone.csv"))


def outcome(path):
    table = Table(
        {"row": [1, 2, 3], "status": ["measured", "rejected", "no image"], "reason": ["", "ra is 400", "far"]}
    )
    table["source_id"] = MaskedColumn([0, 0, 1], mask=[False, True, False])
    table["label"], table["ra"], table["dec"] = ["a", "b", "c"], [1.0, np.nan, 3.0], [4.0, np.nan, 6.0]
    table["n_images"] = MaskedColumn([5, 0, 0], mask=[False, True, False])
    table["n_images"].description = "images that hold the source"
    table.write(path, format="ascii.ecsv")


def test_the_list_of_a_result(tmp_path, made_spectrum):
    """All rows and what became of them; a row that is no source has the number -1."""
    outcome(tmp_path / "targets.ecsv")
    assert find_factory(str(tmp_path / "targets.ecsv")) is load_targets
    data = load_data(str(tmp_path / "targets.ecsv"))
    assert data["status"].tolist() == ["measured", "rejected", "no image"]
    assert data["source_id"].tolist() == [0, -1, 1]
    assert data.label == "targets (1 of 3 rows rejected)"
    assert data.meta["spherex"]["rejected"] == ["row 2: ra is 400"]
    assert data.meta["spherex"]["descriptions"]["n_images"] == "images that hold the source"


@pytest.mark.parametrize("include_data", [False, True])
def test_lists_survive_a_session(listed, tmp_path, restored, include_data):
    outcome(tmp_path / "targets.ecsv")
    before = [load_data(str(listed)), load_data(str(tmp_path / "targets.ecsv"))]
    for old, new in zip(before, restored(before, include_data)):
        assert new.label == old.label
        assert new.meta["spherex"] == old.meta["spherex"]
        for cid in old.main_components:
            np.testing.assert_array_equal(new[cid.label], old[cid.label])


def test_a_list_made_from_a_spectrum(made_spectrum, restored):
    """Means of positions also where right ascension goes through 0; points and clean points are counted."""
    flux = np.ones(14)
    flux[[0, 8]] = np.nan
    ra = np.concatenate([np.full(7, 20.0), [359.9, 0.1, 359.9, 0.1, 359.9, 0.1, np.nan]])
    table = made_spectrum(2, 7, flux=flux, ra=ra, flags=np.where(np.arange(14) == 3, 1 << 33, 1 << 21))
    table = table[::-1]
    spectra = spectrum_data(table)
    spectra.label = "result"
    data = target_table_from(spectra)
    assert data["source_id"].tolist() == [1, 0]
    assert data["label"].tolist() == ["0001", "0000"]
    assert data["n_points"].tolist() == [6, 6]
    assert data["n_clean"].tolist() == [6, 5]
    np.testing.assert_allclose((data["ra"] + 180) % 360, [180, 200], atol=1e-9)
    (again,) = restored([data])
    assert again["n_clean"].tolist() == [6, 5]
    assert kind_of(again) == "targets"
    with pytest.raises(ValueError, match="is no SPHEREx spectrum"):
        target_table_from(data)


def test_images_of_a_folder(simulated, made_spectrum):
    folder = simulated("isolated", images=6, size=24, calibration=False).folder / "images"
    paths = sorted(folder.glob("*.fits"))
    data = images_table(folder)
    assert kind_of(data) == "images"
    assert data["path"].tolist() == [str(path) for path in paths]
    assert images_table([read_record(paths[1])])["path"].tolist() == [str(paths[1])]
    assert data["lvf_id"].dtype == np.int64
    assert (data["lvf_id"] % 10).tolist() == data["det_id"].tolist()
    from astropy.io import fits
    from astropy.wcs import WCS

    for path, ra, dec, detector in zip(paths, data["ra"], data["dec"], data["det_id"]):
        header = fits.getheader(path, "IMAGE")
        middle = WCS(header).all_pix2world([[(header["NAXIS1"] - 1) / 2, (header["NAXIS2"] - 1) / 2]], 0)[0]
        np.testing.assert_allclose([ra, dec], middle, atol=1e-9)
        assert header["DETECTOR"] == detector
    with pytest.raises(ImageFileError, match="nowhere"):
        images_table(folder / "nowhere")


def test_the_images_of_a_result(tmp_path, made_spectrum):
    path = tmp_path / "images.ecsv"
    Table({"path": ["a.fits"], "det_id": [3], "lvf_id": [202551101068423], "status": ["measured"]}).write(path)
    assert find_factory(str(path)) is load_images_table
    assert load_data(str(path))["lvf_id"].tolist() == [202551101068423]
    Table({"path": ["a.fits"]}).write(path, overwrite=True)
    with pytest.raises(TargetListError, match="it lacks det_id, lvf_id, status"):
        load_images_table(str(path))
    path.write_text("")
    with pytest.raises(TargetListError, match=r"images\.ecsv: cannot be read as a table of images: it is empty"):
        load_images_table(str(path))


def test_a_list_keeps_who_is_a_companion(tmp_path):
    (tmp_path / "list.csv").write_text("ra,dec,name,role\n1,2,a,target\n1,2.001,b,companion\n")
    data = load_targets(tmp_path / "list.csv")
    assert data["role"].tolist() == ["target", "companion"]
    assert [source.companion for source in targets_of_layer(data).sources] == [False, True]
