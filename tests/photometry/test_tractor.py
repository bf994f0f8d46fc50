"""The optional engine: its refusals, and its answers where The Tractor is installed."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from glue_spherex.model.source import Sersic
from glue_spherex.photometry import PhotometryError, fit_sources
from glue_spherex.photometry.tractor import fit_sources_tractor, require_tractor, tractor_available

MODULES = ("tractor", "tractor.engine", "tractor._mp_fourier", "astrometry.util.miscutils")
CD = np.array([[-5.0, 3.7], [3.7, 5.0]]) / 3600


@pytest.fixture
def installed(monkeypatch):
    """A function that makes modules importable (or, with None, not)."""

    def install(**modules):
        for name in MODULES:
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, "astrometry", ModuleType("astrometry"))
        monkeypatch.setitem(sys.modules, "astrometry.util", ModuleType("astrometry.util"))
        for name, attributes in modules.items():
            module = ModuleType(name)
            vars(module).update(attributes)
            monkeypatch.setitem(sys.modules, name.replace("__", "."), module)

    return install


COMPLETE = {
    "tractor": {"__version__": "dr10.1"},
    "tractor__engine": {"Tractor": object},
    "tractor___mp_fourier": {},
    "astrometry__util__miscutils": {"get_overlapping_region": object},
}


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("tractor", "The Tractor is not installed; it is built from https://github.com/dstndstn/tractor"),
        ("tractor__engine", "another project of that name"),
        ("tractor___mp_fourier", "without its compiled part tractor._mp_fourier"),
        ("astrometry__util__miscutils", "needs the Python modules of astrometry.net"),
    ],
)
def test_incomplete_installations_are_refused(installed, gaussian_psf, missing, sentence):
    installed(**{name: values for name, values in COMPLETE.items() if name != missing})
    available, reason = tractor_available()
    assert not available
    assert sentence in reason
    with pytest.raises(PhotometryError, match=r'engine="tractor": The'):
        require_tractor()
    ones = np.ones((9, 9))
    with pytest.raises(PhotometryError, match=r'engine="tractor": The'):
        fit_sources_tractor(ones, ones, ones > 0, gaussian_psf(), [4.0], [4.0], [None], CD)


def test_another_project_of_that_name(installed):
    installed(**COMPLETE | {"tractor__engine": {"Engine": SimpleNamespace}})
    assert "no tractor.engine.Tractor" in tractor_available()[1]


def test_complete_installation(installed):
    installed(**COMPLETE)
    assert tractor_available() == (True, "")
    require_tractor()


@pytest.fixture
def tractor():
    available, reason = tractor_available()
    if not available:
        pytest.skip(reason)


@pytest.mark.filterwarnings("ignore")
def test_answers_are_those_of_the_builtin_engine(tractor, gaussian_psf):
    rng = np.random.default_rng(1)
    shape = (31, 37)
    x, y = [12.3, 13.9, 24.6, 80.0], [11.8, 12.4, 20.1, 3.0]
    profiles = [None, None, Sersic(1.0, 6.0, 0.4, 30.0), None]
    data, variance = rng.normal(0, 3, shape), rng.uniform(4, 9, shape)
    usable = rng.random(shape) > 0.03
    for psf in (gaussian_psf(), gaussian_psf("effective", 5, 61)):
        model = np.tensordot(
            [900.0, 500.0, 4000.0, 1.0],
            fit_sources(data, variance, usable, psf, x, y, profiles, CD).templates,
            1,
        )
        own = fit_sources(data + model, variance, usable, psf, x, y, profiles, CD)
        fit = fit_sources_tractor(data + model, variance, usable, psf, x, y, profiles, CD)
        np.testing.assert_array_equal(fit.failed, [False, False, False, True])
        assert (np.abs(fit.flux - own.flux)[:3] < 0.02 * own.flux_err[:3] + 5e-3 * own.flux[:3]).all()
        np.testing.assert_allclose(fit.flux_err_tractor, own.flux_err_tractor, rtol=5e-3)
        np.testing.assert_allclose(fit.flux_err, own.flux_err, rtol=5e-3)
        with pytest.raises(PhotometryError, match='the profiles of engine="tractor"'):
            fit_sources_tractor(data, variance, usable, psf, x, y, profiles, CD, extent="infinite")
