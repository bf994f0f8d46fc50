"""Simulated SPHEREx Level-2 files with known truth.

The files have the layout, the header cards and the calibration products of the archive's. Their truth is closed-form
and independent of the code that measures: Gaussians for the PSF, clouds of points for galaxies.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glue_spherex.model.detectors import N_PIX

from .detector import SimulatedDetector
from .files import (
    TRUTH_COLUMNS,
    calibration_files,
    constant_parts,
    image_file,
    write_catalogue,
    write_targets,
    write_truth,
)
from .pixels import EXPOSURE_DAYS, Window, expose, spoil_core
from .pointing import Pointing
from .scene import SCENES, Scene, build_scene, plan_exposures

__all__ = ["SCENES", "SimulatedField", "SimulationError", "simulate"]

RELEASES = ("qr2", "qr3")
_EDGE_PX = 3.0  # the field centre comes no closer to the edge of the detector
_MIN_SIZE = 5


class SimulationError(ValueError):
    """A simulation that cannot be made; the message says why and what is allowed."""


@dataclass(frozen=True)
class SimulatedField:
    """What `simulate` wrote.

    Attributes
    ----------
    folder : Path
        The output folder.
    images : list of Path
        The Level-2 files, in the order of time.
    calibration : Path
        Folder with the calibration maps.
    truth : Path
        ECSV table with a row per source and image.
    targets : Path
        CSV target list.
    catalogue : Path
        CSV list of the stars and galaxies of the field, the targets first; of other stars the 10,000 brightest.
    """

    folder: Path
    images: list
    calibration: Path
    truth: Path
    targets: Path
    catalogue: Path


def simulate(
    output,
    scene="field",
    images=60,
    size=40,
    full=False,
    release="qr2",
    seed=0,
    detectors=(1, 2, 3, 4, 5, 6),
    *,
    n_sources=None,
    flux_correction=False,
    psf_erratum=False,
    calibration=True,
    progress=None,
):
    """Write simulated Level-2 images of one field.

    Every image shows the same field at another time, roll angle and place on its detector, so that the wavelengths of
    all detectors are covered. The noise is Gaussian with a variance affine in the *true* rate, while the VARIANCE HDU
    is affine in the *observed* rate, as in the real files.

    Parameters
    ----------
    output : path-like
        Folder, made when missing: ``images/``, ``calibration/``, ``truth.ecsv``, ``targets.csv``,
        ``catalogue.csv``.
    scene : str, optional
        A key of `SCENES`.
    images : int, optional
        Number of images over all detectors.
    size : int, optional
        Side of the cutouts in pixels; cutouts are trimmed at the edges of the detector.
    full : bool, optional
        Write full frames of 2040 × 2040 pixels.
    release : {"qr2", "qr3"}, optional
        Data release: PSF cube and ``MP_`` flag cards, or EPSF table and ``MSKN``/``MSKM`` cards.
    seed : int, optional
        The same arguments and seed give the same bytes.
    detectors : sequence of int, optional
        Taken in turn.
    n_sources : int, optional
        Number of targets; by default what the scene says (full frames: 30; crowded: 20, full frames 3000).
    flux_correction : bool, optional
        Write ``l3_flux_corrections`` maps, and QR2 images on the old gain: IMAGE times the map is the truth.
    psf_erratum : bool, optional
        Write QR2 files of the pipeline version whose PSF zone cards are transposed.
    calibration : bool, optional
        Write the calibration maps (50 MB per detector).
    progress : callable, optional
        Called with (images done, images in all).

    Returns
    -------
    SimulatedField

    Raises
    ------
    SimulationError
        If an argument is out of range or the folder cannot be written.
    """
    detectors = _check(scene, images, size, release, seed, detectors, n_sources, psf_erratum)
    rng = np.random.default_rng([seed, sorted(SCENES).index(scene), RELEASES.index(release)])
    run = _Run(
        build_scene(rng, scene, size, full, n_sources),
        plan_exposures(rng, images, detectors, release, _EDGE_PX),
        {number: SimulatedDetector(number, release) for number in detectors},
        size=N_PIX if full else size,
        seed=seed,
        old_gain=flux_correction and release == "qr2",
        erratum=psf_erratum,
        bad_point=images // 2 if scene == "field" else None,
    )
    field = _prepare(Path(output), {exposure.file_name(release) for exposure in run.exposures})
    meta = {"scene": scene, "release": release, "seed": seed}
    try:
        truth = []
        for path, parts, rows, spoiled in _draw(run, field.folder / "images"):
            _write(path, parts)
            field.images.append(path)
            truth.append(rows)
            if spoiled:
                meta |= {"bad_point_label": str(rows["label"][0]), "bad_point_file": path.name}
            if progress is not None:
                progress(len(field.images), images)
        for detector in run.instruments.values() if calibration else ():
            for name, parts in calibration_files(detector, flux_correction):
                _write(field.calibration / name, parts)
        write_targets(field.targets, run.scene.sources)
        write_catalogue(field.catalogue, run.scene)
        write_truth(field.truth, {c: np.concatenate([rows[c] for rows in truth]) for c in TRUTH_COLUMNS}, meta)
    except OSError as error:
        raise SimulationError(f"simulate: cannot write to {field.folder}: {error.strerror or error}.") from error
    return field


@dataclass(frozen=True)
class _Run:
    scene: Scene
    exposures: list
    instruments: dict
    size: int
    seed: int
    old_gain: bool
    erratum: bool
    bad_point: int | None  # from this exposure on, the first star whose core can be wrecked is


def _draw(run, folder):
    """Yield path, parts of the file, truth rows and whether a core was wrecked, for each exposure."""
    constants = {n: constant_parts(detector, run.erratum) for n, detector in run.instruments.items()}
    pending = run.bad_point is not None
    for exposure in run.exposures:
        detector = run.instruments[exposure.detector]
        pointing = Pointing.placing(detector, run.scene.ra, run.scene.dec, exposure.x, exposure.y, exposure.roll)
        full = run.size == N_PIX
        window = Window(0, 0, N_PIX, N_PIX) if full else Window.around(exposure.x, exposure.y, run.size)
        rng = np.random.default_rng([run.seed, 1 + exposure.number])
        pixels = expose(rng, detector, pointing, run.scene, exposure, window)
        spoiled = False
        if pending and exposure.number >= run.bad_point and 0 in pixels.truth["target"][:1]:
            spoiled = spoil_core(pixels, detector, window, row=0)
            pending = not spoiled
        parts = image_file(
            pixels,
            exposure,
            pointing,
            window,
            constants[exposure.detector],
            erratum=run.erratum,
            gain=detector.old_gain(window.columns, window.rows) if run.old_gain else None,
            compress=full and detector.release == "qr3",
        )
        name = exposure.file_name(detector.release)
        yield folder / name, parts, _truth_rows(pixels.truth, run.scene, exposure, name), spoiled


def _check(scene, images, size, release, seed, detectors, n_sources, psf_erratum):
    """The detectors as a tuple, once all arguments are known to make sense."""
    detectors = tuple(detectors)
    problems = [
        (scene not in SCENES, f"scene is {scene!r}; known are {', '.join(SCENES)}"),
        (release not in RELEASES, f"release is {release!r}; known are {', '.join(RELEASES)}"),
        (images < 1, f"images is {images}; at least 1 is needed"),
        (not _MIN_SIZE <= size < N_PIX, f"size is {size}; allowed are {_MIN_SIZE} to {N_PIX - 1} pixels, or full"),
        (seed < 0, f"seed is {seed}; a whole number from 0 up is needed"),
        (not detectors or not set(detectors) <= set(range(1, 7)), f"detectors are {detectors}; allowed are 1 to 6"),
        (len(set(detectors)) != len(detectors), f"detectors are {detectors}; each may be named once"),
        (n_sources is not None and n_sources < 1, f"n_sources is {n_sources}; at least 1 is needed"),
        (psf_erratum and release != "qr2", f"psf_erratum with release {release!r}; only qr2 has PSF zone cards"),
    ]
    for wrong, text in problems:
        if wrong:
            raise SimulationError(f"simulate: {text}.")
    return detectors


def _prepare(folder, names):
    """Make the folders, unless they hold images that are not among `names`."""
    field = SimulatedField(
        folder, [], folder / "calibration", folder / "truth.ecsv", folder / "targets.csv", folder / "catalogue.csv"
    )
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        field.calibration.mkdir(exist_ok=True)
        others = sorted(p.name for p in (folder / "images").iterdir() if p.name not in names)
    except OSError as error:
        raise SimulationError(
            f"simulate: the output folder {folder} cannot be made: {error.strerror}; choose a folder that is writable."
        ) from error
    if others:
        raise SimulationError(
            f"simulate: {folder / 'images'} holds {len(others)} other files (such as {others[0]}), which would be "
            "mixed with the new images; choose an empty folder."
        )
    return field


def _write(path, parts):
    with open(path, "wb") as file:
        file.writelines(parts)


def _truth_rows(truth, sky, exposure, name):
    count = len(truth["x"])
    labels = np.array([t.name for t in sky.targets])
    return {
        **truth,
        "label": labels[truth["target"]],
        "file": np.full(count, name),
        "det_id": np.full(count, exposure.detector),
        "exposure_id": np.full(count, exposure.exposure_id, dtype=np.int64),
        "mjd": np.full(count, exposure.mjd_begin + EXPOSURE_DAYS / 2),
    }
