"""The demonstration: a simulated field, its spectra with the truth beside them, and glue opened on the result."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .images import simulate
from .images.archive.choice import ArchiveChoice
from .images.archive.cutout_store import CutoutStore
from .images.simulation import LoopbackArchive, SearchServices
from .io import read_targets
from .jobs import Request
from .model import CLEAN_MASK, DETECTORS
from .photometry.closing_notes import closing_notes
from .photometry.errors import PhotometryError
from .photometry.output import LOCK_NAME, SETTINGS_NAME, result_folder, target_outcomes, write_result
from .photometry.pipeline import run
from .photometry.settings import Settings

IMAGES = 120
SEED = 7
SETTINGS = Settings(extent="infinite")  # as the truth
#: The archive of the demonstration is as slow as the real one.
LATENCY_S, BYTES_PER_S = 0.1, 20e6
#: In the folder of the demonstration: what glue-spherex keeps for itself while it runs with an archive.
HOME_NAME = "glue-spherex-home"


@dataclass(frozen=True)
class Demo:
    """What the demonstration made.

    Attributes
    ----------
    folder : Path
        Holds ``field/`` (images, calibration, truth; ``archive/`` where an archive offers them) and ``result/``.
    spectra : Path
        The spectra of all sources.
    targets : Path
        The target list with the outcome of each row.
    catalogue : Path
        All stars and galaxies of the field, most of them not measured yet; beside the result, which needs nothing else
        of the simulated field where an archive offered it.
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


def make_demo(output, *, images=IMAGES, seed=SEED, overwrite=False, progress=None):
    """Simulate a small field and measure it.

    Parameters
    ----------
    output : path-like
        Folder to write into.
    images : int, optional
        Number of images, over all six detectors.
    seed : int, optional
        Of the simulation.
    overwrite : bool, optional
        Whether an earlier demonstration in the folder is replaced; one that has not come to its end is, in any case.
    progress : callable(done, total), optional

    Returns
    -------
    Demo

    Raises
    ------
    PhotometryError
        If the folder holds an earlier demonstration that is not to be replaced, or anything else.
    """
    folder = _own_folder(output, overwrite)
    with result_folder(folder):
        field = simulate(folder / "field", scene="field", images=images, seed=seed, progress=progress)
        request = Request.of(field.folder / "images", field.calibration, SETTINGS, origin=Path(field.targets))
        return _measured(folder, field, request.collection(folder / "result"), progress, request)


@contextmanager
def archive_demo(output, *, images=IMAGES, seed=SEED, overwrite=False, progress=None):
    """The same demonstration without a folder of images: what is needed is fetched from an archive on this computer.

    Until the end of the block the archive answers, and is the only one that this process knows; what glue-spherex
    keeps for itself is in the folder of the demonstration. What was fetched for the spectra stays with them.

    Parameters
    ----------
    output, images, seed, overwrite, progress
        As in `make_demo`.

    Yields
    ------
    Demo
    """
    folder = _own_folder(output, overwrite)
    with result_folder(folder):
        _forget_earlier(folder)
        home = folder.absolute() / HOME_NAME
        with (
            LoopbackArchive(LATENCY_S, BYTES_PER_S) as archive,
            _environment(GLUE_SPHEREX_ARCHIVE=archive.url, GLUE_SPHEREX_HOME=str(home)),
        ):
            request = Request.of((), None, SETTINGS, origin=folder / "archive" / "targets.csv", archive=ArchiveChoice())
            collection = request.collection(folder / "result")
            field = simulate(folder / "archive", scene="field", images=images, seed=seed, progress=progress)
            SearchServices().join(archive).add_field(archive, field)
            yield _measured(folder, field, collection, progress, request)


@contextmanager
def _environment(**values):
    """Environment variables of this process that are set for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _own_folder(output, overwrite):
    """The folder of a demonstration: new, empty, or that of an earlier one. Other files could be written over."""
    folder = Path(output)
    result = folder / "result"
    if not overwrite and (result / SETTINGS_NAME).exists():
        raise PhotometryError(
            f"the folder {str(folder)!r} holds a demonstration already: look at it with "
            f"'glue {result / 'targets.ecsv'} {result / 'spectra.vot'}', or make it anew with --overwrite."
        )
    earlier = any((folder / place).is_dir() for place in ("field", "archive"))
    if folder.is_dir() and not earlier and any(path.name != LOCK_NAME for path in folder.iterdir()):
        raise PhotometryError(
            f"the folder {str(folder)!r} holds other files, which the demonstration might write over; give it a folder "
            "of its own with --output."
        )
    return folder


def _forget_earlier(folder):
    """Remove what an earlier demonstration has fetched into this folder: it would not be fetched again."""
    home = folder / HOME_NAME
    if home.is_dir():
        CutoutStore(home / "cutouts").clear(everything=True)
        for path in (folder / "result" / "images").rglob("*.fits"):
            path.unlink()


def _measured(folder, field, collection, progress, request):
    """Measure the field on the images of a collection, and write down what came of it."""
    from astropy.table import Table

    targets = read_targets(field.targets)
    result = run(targets.sources, collection, SETTINGS, progress=progress)
    with result_folder(folder / "result") as path:
        outcomes = target_outcomes(targets, result.targets)
        notes = closing_notes(result, collection, targets.sources)
        write_result(result, path, targets=outcomes, request=request.described(collection), notes=notes)
    truth = Table.read(field.truth)
    figure, spectra = folder / "spectra.png", folder / "result" / "spectra.vot"
    catalogue = Path(shutil.copy(field.catalogue, folder / "catalogue.csv"))
    draw_spectra(result.spectra, truth, figure)
    lines = [_summary(result.spectra, truth), _spoiled(truth)]
    if request.archive is not None:
        client = collection.client
        lines.append(f"fetched:   {client.moved / 1e6:.0f} MB in {client.requests} requests from {client.settings.ibe}")
    lines += [f"images:    {collection.folders[-1]}", f"spectra:   {spectra}"]
    lines += [f"catalogue: {catalogue}", f"picture:   {figure}"]
    return Demo(folder, spectra, folder / "result" / "targets.ecsv", catalogue, figure, "\n".join(lines))


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
        scatter = 1.4826 * _median(np.abs(pull - _median(pull)))
        lines.append(
            f"{label:<16} {here.sum():>6} {clean.sum():>6} {_median(flux[clean] / error[clean]):>10.1f} "
            f"{_median(flux[clean] / true[clean]):>10.4f} {scatter:>12.2f}"
        )
    return "\n".join(lines)


def _median(values):
    return np.median(values) if len(values) else np.nan


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
