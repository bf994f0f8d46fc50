import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from glue_spherex.model import CHANNELS, COLUMNS, DETECTORS, SpectrumError, ujy_per_mjy_sr
from glue_spherex.model.spectrum import check, new_table

# the 17 columns of a real long-form file, in its order
IRSA = [
    "ra", "dec", "x_image", "y_image", "mjd", "flux_bkg", "local_bkg_flg", "flags", "fit_ql", "deep_flg", "det_id",
    "lvf_id", "obs_publisher_did", "lambda", "lambda_width", "flux", "flux_err",
]  # fmt: skip


def _columns(n):
    kinds = {"float": np.zeros(n), "int": np.zeros(n, int), "bool": np.zeros(n, bool), "text": np.array(["a"] * n)}
    return {spec.name: kinds[spec.dtype] for spec in COLUMNS}


def test_irsa_columns_come_first():
    assert [spec.disk_name for spec in COLUMNS[:17]] == IRSA
    assert [spec.name for spec in COLUMNS[17:]] == [
        "source_id", "label", "flux_err_tractor", "data_collection", "flux_bkg_err", "n_bkg_pixels", "n_bad_pixels",
        "masked_fraction",
    ]  # fmt: skip


def test_every_column_is_described():
    for spec in COLUMNS:
        assert spec.description
        assert spec.ucd
        u.Unit(spec.unit)


@pytest.mark.parametrize("n", [0, 3])
def test_new_table(n):
    table = new_table(_columns(n))
    assert table.colnames == [spec.name for spec in COLUMNS]
    assert len(table) == n
    assert table["flux"].unit == u.uJy
    assert table["flux_bkg"].unit == u.MJy / u.sr
    assert table["flags"].dtype == np.int64
    assert table["wavelength"].info.meta["ucd"] == "em.wl.central"
    check(table)


def test_new_table_names_what_is_wrong():
    columns = _columns(1)
    columns["fluxx"] = columns.pop("flux")
    with pytest.raises(SpectrumError, match=r"missing columns \['flux'\], unknown columns \['fluxx'\]"):
        new_table(columns)


def test_check_refuses():
    with pytest.raises(SpectrumError, match="no column 'wavelength'"):
        check(Table({"flux": [1.0]}))
    table = Table({"wavelength": [1.0], "flux": [1.0]}, units={"flux": "m"})
    with pytest.raises(SpectrumError, match="'flux' has the unit m; uJy is needed"):
        check(table)


def test_detectors():
    assert list(DETECTORS) == [1, 2, 3, 4, 5, 6]
    assert all(DETECTORS[d.partner].partner == d.number for d in DETECTORS.values())


def test_channels_lie_in_their_detectors():
    assert len(CHANNELS) == 102
    for channel in CHANNELS:
        detector = DETECTORS[channel.detector]
        assert detector.wavelength_min_um < channel.wavelength_um < detector.wavelength_max_um
        assert channel.wavelength_um / channel.bandwidth_um == pytest.approx(detector.resolving_power, rel=0.25)


def test_channels_against_the_product(test_data):
    product = Table.read(next((test_data / "calibration").glob("spectral_channels*.fits")), hdu="SPECTRAL_CHANNELS")
    np.testing.assert_allclose([c.wavelength_um for c in CHANNELS], product["WAVELENGTH"], atol=6e-4)
    np.testing.assert_allclose([c.bandwidth_um for c in CHANNELS], product["BANDWIDTH"], atol=6e-4)


def test_flux_unit_against_astropy():
    omega = 37.86 * u.arcsec**2
    assert ujy_per_mjy_sr(37.86) == pytest.approx((1 * u.MJy / u.sr * omega).to_value("uJy"), rel=1e-12)
