"""The faint-end bias of weights 1/VARIANCE, and of the variance that the model expects.

python docs/benchmarks/weights.py [--images 1200]
"""

import argparse

import numpy as np
from common import describe_machine, field, nmad, with_truth

from glue_spherex import FolderCollection, measure, read_targets


def main():
    """Print a line per source and kind of weights."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1200)
    options = parser.parse_args()
    describe_machine()
    print(f"{'weights':<9} {'source':<9} {'points':>6} {'S/N':>6} {'mean pull':>16} {'pull NMAD':>10}")
    folder = field(f"faint-{options.images}", scene="faint", images=options.images, seed=31)
    bright = field("isolated-qr2-300", scene="isolated", release="qr2", images=300, seed=21)
    for place in (folder, bright):
        targets = read_targets(place / "targets.csv")
        images = FolderCollection(place / "images", place / "calibration")
        for weights in ("variance", "model"):
            spectra = measure(targets.sources, images, weights=weights)
            truth = with_truth(spectra, place)["flux_ujy"]
            flux, error = spectra["flux"].value, spectra["flux_err"].value
            for label in dict.fromkeys(np.asarray(spectra["label"])):
                here = (spectra["label"] == label) & np.isfinite(flux) & (spectra["n_bad_pixels"] == 0)
                pull = (flux - truth)[here] / error[here]
                pull = pull[np.abs(pull) < 6]
                print(
                    f"{weights:<9} {label:<9} {pull.size:>6} {np.median(flux[here] / error[here]):>6.1f} "
                    f"{pull.mean():>+8.3f} ± {pull.std() / np.sqrt(pull.size):<5.3f} {nmad(pull):>10.3f}"
                )


if __name__ == "__main__":
    main()
