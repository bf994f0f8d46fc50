"""The demonstration: a simulated field, its spectra with the truth beside them, and glue opened on the result."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .images import FolderCollection, simulate
from .io import read_targets
from .model import CLEAN_MASK, DETECTORS
from .photometry.output import result_folder, target_outcomes, write_result
from .photometry.pipeline import run
from .photometry.settings import Settings

IMAGES = 120
SEED = 7


@dataclass(frozen=True)
class Demo:
    """What the demonstration made.

    Attributes
    ----------
    folder : Path
        Holds ``field/`` (images, calibration, truth) and ``result/``.
    spectra : Path
        The spectra of all sources.
    targets : Path
        The target list with the outcome of each row.
    catalogue : Path
        All stars and galaxies of the field, most of them not measured yet.
    figure : Path
        A PNG of the spectra with the truth.
    summary : str
        What was made, in words.
    """

    folder: Path
    spectra: Path
    targets: Path
    catalogue: Path
    figure: Path
    summary: str


def make_demo(output, *, images=IMAGES, seed=SEED, progress=None):
    """Simulate a small field and measure it.

    Parameters
    ----------
    output : path-like
        Folder to write into.
    images : int, optional
        Number of images, over all six detectors.
    seed : int, optional
        Of the simulation.
    progress : callable(done, total), optional

    Returns
    -------
    Demo
    """
    from astropy.table import Table

    folder = Path(output)
    with result_folder(folder):
        field = simulate(folder / "field", scene="field", images=images, seed=seed, progress=progress)
        targets = read_targets(field.targets)
        collection = FolderCollection(field.folder / "images", field.calibration)
        result = run(targets.sources, collection, Settings(extent="infinite"), progress=progress)  # as the truth
        with result_folder(folder / "result") as result_path:
            write_result(result, result_path, targets=target_outcomes(targets, result.targets))
        truth = Table.read(field.truth)
        figure = folder / "spectra.png"
        draw_spectra(result.spectra, truth, figure)
    spectra = folder / "result" / "spectra.vot"
    lines = [_summary(result.spectra, truth), _spoiled(truth)]
    lines += [f"images:    {field.folder / 'images'}", f"spectra:   {spectra}"]
    lines += [f"catalogue: {field.catalogue}", f"picture:   {figure}"]
    return Demo(folder, spectra, folder / "result" / "targets.ecsv", field.catalogue, figure, "\n".join(lines))


def _with_truth(spectra, truth):
    """The true flux of each row of a spectrum table, µJy."""
    keys = {(str(row["label"]), int(row["exposure_id"])): float(row["flux_ujy"]) for row in truth}
    labels, exposures = np.asarray(spectra["label"]), np.asarray(spectra["lvf_id"])
    return np.array([keys.get((str(a), int(b)), np.nan) for a, b in zip(labels, exposures)])


def _summary(spectra, truth):
    true = _with_truth(spectra, truth)
    flux, error = spectra["flux"].to_value("uJy"), spectra["flux_err"].to_value("uJy")
    flags = np.asarray(spectra["flags"])
    lines = [f"{'source':<16} {'points':>6} {'clean':>6} {'median S/N':>10} {'flux/truth':>10} {'pull scatter':>12}"]
    for label in dict.fromkeys(np.asarray(spectra["label"])):
        here = (spectra["label"] == label) & np.isfinite(flux)
        clean = here & ((flags & ~CLEAN_MASK) == 0)
        pull = (flux - true)[clean] / error[clean]
        scatter = 1.4826 * np.median(np.abs(pull - np.median(pull)))
        lines.append(
            f"{label:<16} {here.sum():>6} {clean.sum():>6} {np.median(flux[clean] / error[clean]):>10.1f} "
            f"{np.median(flux[clean] / true[clean]):>10.4f} {scatter:>12.2f}"
        )
    return "\n".join(lines)


def _spoiled(truth):
    """Where the point lies that a bad pixel spoils, in words."""
    label, file = truth.meta["bad_point_label"], truth.meta["bad_point_file"]
    (row,) = truth[(truth["label"] == label) & (truth["file"] == file)]
    return f"{label} has a point to look at, at {row['wavelength']:.3f} µm: a bad pixel lies on the star's core"


def draw_spectra(spectra, truth, path):
    """Draw the spectra of all sources with the truth, one panel each.

    Parameters
    ----------
    spectra : QTable
        Spectrum table.
    truth : Table
        The simulator's ``truth.ecsv``.
    path : path-like
        The PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(np.asarray(spectra["label"])))
    rows = -(-len(labels) // 2)
    figure = Figure(figsize=(13, 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 2, squeeze=False, sharex=True).ravel()
    for panel, label in zip(axes, labels):
        _draw_source(panel, spectra[spectra["label"] == label], truth[truth["label"] == label])
        panel.set_title(label, loc="left", fontsize=11)
    for panel in axes[len(labels) :]:
        panel.set_axis_off()
    for panel in axes[max(len(labels) - 2, 0) : len(labels)]:  # the lowest of each column
        panel.set_xlabel("wavelength (µm)")
        panel.xaxis.set_tick_params(labelbottom=True)
    handles, names = axes[0].get_legend_handles_labels()
    order = np.argsort([not name.startswith("D") for name in names], kind="stable")
    handles, names = [handles[k] for k in order], [names[k] for k in order]
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=10)
    figure.savefig(path, dpi=100)


def _draw_source(panel, rows, truth):
    wavelength, flux = rows["wavelength"].to_value("um"), rows["flux"].to_value("uJy")
    error = rows["flux_err"].to_value("uJy")
    clean = (np.asarray(rows["flags"]) & ~CLEAN_MASK) == 0
    usable = np.isfinite(flux) & np.isfinite(error)
    order = np.argsort(truth["wavelength"])
    for number, detector in DETECTORS.items():
        here = usable & (np.asarray(rows["det_id"]) == number)
        style = {"fmt": "o", "ms": 3.5, "lw": 0.8, "color": detector.colour}
        panel.errorbar(wavelength[here & clean], flux[here & clean], error[here & clean], label=f"D{number}", **style)
        flagged = here & ~clean
        panel.errorbar(wavelength[flagged], flux[flagged], error[flagged], mfc="none", alpha=0.6, **style)
    panel.plot([], [], "o", mfc="none", color="0.4", ms=4, label="flagged")
    panel.plot(truth["wavelength"][order], truth["flux_ujy"][order], color="0.2", lw=1, zorder=5, label="truth")
    panel.set_ylabel("flux (µJy)")
    panel.set_xscale("log")
    panel.set_xlim(0.72, 5.2)
    panel.set_xticks([0.75, 1, 1.5, 2, 3, 4, 5], labels=["0.75", "1", "1.5", "2", "3", "4", "5"])
    panel.minorticks_off()
    low, high = np.nanmin(truth["flux_ujy"]), np.nanmax(truth["flux_ujy"])
    seen = flux[usable & (flux < 2 * high)]
    top = max(high, seen.max(initial=high)) + 0.08 * high
    panel.set_ylim(min(0.0, low - 4 * np.nanmedian(error[usable])), top)


def show(demo):
    """Open glue on the result of the demonstration.

    Parameters
    ----------
    demo : Demo

    Returns
    -------
    int
        The exit status of glue.
    """
    from .qt.application import open_result

    return open_result(demo.spectra, demo.targets, demo.catalogue)
