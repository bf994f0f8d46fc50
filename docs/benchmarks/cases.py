"""Scenes with known answers: how far our fluxes and errors are from exact least squares and from The Tractor.

SPHEREX_TEST_CASES=folder python docs/benchmarks/cases.py
"""

import os
from pathlib import Path

import numpy as np
from common import describe_machine

from glue_spherex import Sersic, fit_sources
from glue_spherex.images import PSF
from glue_spherex.model import FIT_MASK


def fit(case, extent):
    """Fit one scene as its README says."""
    factor = case["pixarea_sr"] * 1e12
    usable = (case["flags"] & FIT_MASK) == 0
    profiles = [
        Sersic(n, r, q, pa) if extended else None
        for extended, n, r, q, pa in zip(
            case["is_sersic"], case["sersic_n"], case["re_arcsec"], case["ab"], case["pa_deg"]
        )
    ]
    return fit_sources(
        case["image"] * factor,
        case["variance"] * factor**2,
        usable,
        PSF(case["psf"], int(case["psf_oversamp"]), str(case["psf_kind"])),
        case["x"],
        case["y"],
        profiles,
        case["cd"],
        extent=extent,
    )


def main():
    """Print a line per scene."""
    describe_machine()
    print(f"{'scene':<28} {'n':>2} {'(f-wls)/sigma':>14} {'err/wls_err-1':>14} {'(f-T1)/sigma':>13} {'(f-T1)/f':>10}")
    for path in sorted(Path(os.environ["SPHEREX_TEST_CASES"]).glob("*.npz")):
        if path.name.startswith("H_"):
            continue
        case = np.load(path)
        infinite, tractor = fit(case, "infinite"), fit(case, "tractor")
        good = np.isfinite(case["wls_flux"]) & ~infinite.failed
        if not good.any():
            print(f"{path.stem:<28} {0:>2} nothing to measure: failed is {infinite.failed.tolist()}, as it must be")
            continue
        sigma, true = case["wls_err"][good], np.abs(case["flux_true_uJy"][good]).max()

        def worst(values):
            return np.abs(values).max() if values.size else np.nan

        difference = worst((infinite.flux[good] - case["wls_flux"][good]) / sigma)
        errors = worst(infinite.flux_err[good] / sigma - 1)
        if "T1_flux" in case:
            against = tractor.flux[good] - case["T1_flux"][good]
            last = f"{worst(against / sigma):>13.4f} {worst(against / true):>10.1e}"
        else:
            last = f"{'-':>13} {'-':>10}"
        print(f"{path.stem:<28} {good.sum():>2} {difference:>14.4f} {errors:>14.1e} {last}")


if __name__ == "__main__":
    main()
