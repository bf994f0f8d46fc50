"""Fluxes, errors and wavelengths of simulated images against their truth.

python docs/benchmarks/accuracy.py [--images 600]
"""

import argparse

import numpy as np
from common import describe_machine, field, nmad, with_truth

from glue_spherex import FolderCollection, measure, read_targets

HEADER = (
    f"{'scene':<10} {'release':<7} {'maps':<4} {'source':<8} {'points':>6} {'S/N':>6} {'flux/true - 1':>14} "
    f"{'pull median':>15} {'pull NMAD':>10} {'wavelength (nm)':>16}"
)


def lines(scene, release, maps, folder, extent="tractor", pooled=False):
    """Print a line per source of a scene, or one for all of them."""
    targets = read_targets(folder / "targets.csv")
    collection = FolderCollection(folder / "images", folder / "calibration" if maps else None)
    spectra = measure(targets.sources, collection, extent=extent)
    truth = with_truth(spectra, folder)
    flux, error = spectra["flux"].value, spectra["flux_err"].value
    labels = np.full(len(spectra), "all") if pooled else np.asarray(spectra["label"])
    for label in dict.fromkeys(labels):
        here = (labels == label) & np.isfinite(flux) & (spectra["n_bad_pixels"] == 0)
        ratio = flux[here] / truth["flux_ujy"][here] - 1
        pull = (flux - truth["flux_ujy"])[here] / error[here]
        wavelength = np.abs(spectra["wavelength"].value - truth["wavelength"])[here].max() * 1e3
        print(
            f"{scene:<10} {release:<7} {'yes' if maps else 'no':<4} {label:<8} {here.sum():>6} "
            f"{np.median(flux[here] / error[here]):>6.1f} {np.median(ratio):>+14.5f} "
            f"{np.median(pull):>+7.3f} ± {1.25 / np.sqrt(here.sum()):<5.3f} {nmad(pull):>10.3f} {wavelength:>16.4f}",
            flush=True,
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=600, help="cutouts per scene and release, all detectors")
    parser.add_argument("--frames", type=int, default=6, help="full frames per release")
    options = parser.parse_args()
    describe_machine()
    print(HEADER)
    for release in ("qr2", "qr3"):
        for scene in ("isolated", "pair", "sersic"):
            name = f"{scene}-{release}-{options.images}"
            folder = field(name, scene=scene, release=release, images=options.images, seed=24)
            lines(scene, release, True, folder, "infinite" if scene == "sersic" else "tractor")
            if scene == "isolated":
                lines(scene, release, False, folder)
        name = f"crowded-{release}-{options.frames}"
        folder = field(name, scene="crowded", release=release, images=options.frames, full=True, n_sources=300, seed=25)
        lines("full frame", release, True, folder, pooled=True)
        lines("full frame", release, False, folder, pooled=True)


if __name__ == "__main__":
    main()
