"""The result folder: spectra, tables about targets and images, settings.

Every file is written beside its place and then moved into it, so that a stopped program never leaves half a file. A
lock keeps two runs from writing into the same folder.
"""

import fcntl
import json
import re
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from ..io import write_spectra
from ..io.files import replacing
from ..io.spectra import write_blocks
from .errors import PhotometryError
from .provenance import provenance

LOCK_NAME = ".glue-spherex.lock"
SETTINGS_NAME = "settings.json"
#: Folder of the cutouts that were fetched for a result.
IMAGES_NAME = "images"
EXTENSIONS = {"votable": ".vot", "fits": ".fits", "ecsv": ".ecsv", "ipac": ".tbl", "csv": ".csv", "parquet": ".parquet"}
#: Whatever a result may have in its folder, in any format, but for the cutouts.
RESULT_NAMES = (
    SETTINGS_NAME, "targets.ecsv", "images.ecsv", "spectra", *(f"spectra{ending}" for ending in EXTENSIONS.values())
)  # fmt: skip
_MAX_NAME = 100


class WritingStopped(Exception):
    """Somebody has stopped the writing of a result; none of its files is left."""


def check_writable(folder):
    """Make a folder ready for files, if that is possible.

    Parameters
    ----------
    folder : path-like
        Made if it does not exist.

    Raises
    ------
    PhotometryError
        If it cannot be made or written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PhotometryError(
            f"the output folder {str(folder)!r} cannot be written: {error.strerror or error}; choose another one."
        ) from error


@contextmanager
def result_folder(path):
    """Make a folder ready for results, and keep other runs out of it.

    Parameters
    ----------
    path : path-like
        Made if it does not exist.

    Yields
    ------
    Path

    Raises
    ------
    PhotometryError
        If the folder cannot be made or written, or another run is writing into it.
    """
    folder = Path(path)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / LOCK_NAME, "w")  # noqa: SIM115 - held open until the end of the run
    except OSError as error:
        raise PhotometryError(
            f"the output folder {str(folder)!r} cannot be written: {error.strerror or error}; choose another one."
        ) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PhotometryError(
                f"another run is writing into {str(folder)!r}; wait until it has finished, or choose another folder."
            ) from error
        try:
            yield folder
        finally:
            (folder / LOCK_NAME).unlink(missing_ok=True)
            if is_new:
                with suppress(OSError):  # it holds something
                    folder.rmdir()
    finally:
        lock.close()


def write_result(
    measurement,
    folder,
    *,
    spectrum_format="votable",
    targets=None,
    request=None,
    notes=(),
    progress=None,
    cancelled=None,
):
    """Write a measurement into a result folder.

    Parameters
    ----------
    measurement : Measurement or StoredMeasurement
    folder : path-like
        Exists and can be written; see `result_folder`.
    spectrum_format : str
        One of `EXTENSIONS`.
    targets : Table, optional
        The table for ``targets.ecsv``, if it is more than the measurement's own.
    request : dict, optional
        What was asked for beyond the settings, as JSON-like values: target list, calibration folder.
    notes : sequence of str, optional
        What is to be told about the result; see `glue_spherex.photometry.closing_notes.closing_notes`.
    progress : callable(done, total), optional
        Called after the file of each source.
    cancelled : callable() -> bool, optional
        Asked before the file of each source, and now and then while all of them are written into one.

    Returns
    -------
    list of Path
        The files of single sources, in the order of the sources.

    Raises
    ------
    PhotometryError
        If a file cannot be written, naming it and the reason; what was written before stays.
    WritingStopped
        If `cancelled` says so. The folder then holds no result, neither this one nor one that was there before.
    """
    folder = Path(folder)
    extension = EXTENSIONS[spectrum_format]
    paths = []

    def step():
        if cancelled is not None and cancelled():
            raise WritingStopped

    def tell(done):
        if progress is not None:
            progress(done, n_files)

    try:
        _forget_previous(folder)
        _write_table(targets if targets is not None else measurement.targets, folder / "targets.ecsv")
        _write_table(measurement.images, folder / "images.ecsv")
        (folder / "spectra").mkdir(exist_ok=True)
        names = spectrum_names(measurement.targets)
        n_files = np.count_nonzero(measurement.targets["n_images"])
        blocks = _with_single_files(measurement.blocks(), folder / "spectra", names, extension, paths, step, tell)
        whole = folder / f"spectra{extension}"
        write_blocks(blocks, whole, head=measurement.head(), n_rows=measurement.n_rows, step=step)
        written = [f"spectra{extension}", *(f"spectra/{path.name}" for path in paths)]
        settings = {
            **measurement.about,
            "request": request or {},
            "made": provenance(measurement.settings, request or {}, folder, measurement.images),
            "notes": list(notes),
            "interrupted": measurement.interrupted,
            "spectra": written,
        }
        _write_text(folder / SETTINGS_NAME, json.dumps(settings, indent=2) + "\n")
    except WritingStopped:
        for path in [*paths, *(folder / name for name in ("targets.ecsv", "images.ecsv", SETTINGS_NAME))]:
            path.unlink(missing_ok=True)
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotometryError(f"the result cannot be written to {str(folder)!r}: {reason}") from error
    return paths


def _with_single_files(blocks, folder, names, extension, paths, step, progress):
    """Yield spectra in pieces, and write the file of each single source on the way; `paths` grows."""
    for spectra in blocks:
        numbers, starts = np.unique(spectra["source_id"], return_index=True)
        for number, start, stop in zip(numbers, starts, [*starts[1:], len(spectra)]):
            step()
            paths.append(folder / f"{names[number]}{extension}")
            write_spectra(spectra[start:stop], paths[-1])
            progress(len(paths))
        yield spectra


def _forget_previous(folder):
    """Remove what a killed run left unfinished, and the spectra that an earlier one listed: results never mix."""
    for part in [*folder.glob(".*.part"), *folder.glob("spectra/.*.part")]:
        if re.fullmatch(r"\..+\.[0-9a-f]{12}\.part", part.name):
            part.unlink(missing_ok=True)
    try:
        listed = json.loads((folder / SETTINGS_NAME).read_text(encoding="utf-8"))["spectra"]
        names = [str(name) for name in listed]
    except (OSError, ValueError, LookupError, TypeError):
        return
    for name in names:
        if re.fullmatch(r"spectra(/[\w+-][\w.+-]*)?\.[a-z]+", name, flags=re.ASCII):
            (folder / name).unlink(missing_ok=True)


def target_outcomes(targets, measured):
    """What became of each row of a target list.

    Parameters
    ----------
    targets : glue_spherex.io.Targets
        The list.
    measured : Table
        The table of sources of a `Measurement`.

    Returns
    -------
    Table
        A row per row of the list, in its order: ``row`` (1 is the first), ``status`` ("measured", "failed", "no image",
        "rejected"), ``reason``, and what is known about the source.
    """
    from astropy.table import MaskedColumn, vstack

    known = measured.copy()
    known.add_column(np.asarray(targets.rows) + 1, name="row", index=0)
    outcomes = [_outcome(row) for row in known]
    known.add_column(np.array([status for status, _ in outcomes], dtype="U8"), name="status", index=1)
    known.add_column(np.array([reason for _, reason in outcomes], dtype="U500"), name="reason", index=2)
    lost = known[:0].copy()
    if targets.rejected:
        lost = type(known)(
            {
                "row": [rejected.row + 1 for rejected in targets.rejected],
                "status": ["rejected"] * len(targets.rejected),
                "reason": [rejected.reason[:500] for rejected in targets.rejected],
                "label": [row_label(targets, rejected.row) for rejected in targets.rejected],
                "role": ["target"] * len(targets.rejected),
            }
        )
    table = vstack([known, lost], metadata_conflicts="silent") if len(lost) else known
    for name in table.colnames:
        if isinstance(table[name], MaskedColumn) and table[name].dtype.kind == "f":
            table[name] = table[name].filled(np.nan)
    table.sort("row")
    for name, text in (
        ("row", "number of the row in the target list; the first row of data is 1"),
        ("status", "measured, failed (no flux in any image), no image, or rejected (the row cannot be a source)"),
        ("reason", "why it was not measured"),
    ):
        table[name].description = text
    return table


def row_label(targets, row):
    """The name in a row of a target list, also where the row could not become a source."""
    name = targets.columns.get("name")
    return str(targets.table[name][row]) if name in targets.table.colnames else ""


def _outcome(row):
    """Status of a source and the reason, from its row in the table of a measurement."""
    if row["n_measured"]:
        return "measured", ""
    if row["n_images"]:
        return "failed", "no flux could be fitted: no usable pixels or background, or a coincident source"
    if row["n_failed_images"]:
        return "failed", f"its {row['n_failed_images']} images could not be measured; images.ecsv says why"
    beside = " that hold a target" if row["role"] == "companion" else ""
    return "no image", f"not on any of the images{beside}, at the wavelengths and times that were asked for"


def spectrum_names(targets):
    """File names of single sources, without extension: safe, and unique even where case does not count.

    Parameters
    ----------
    targets : Table
        With ``label``, ``ra`` and ``dec``.

    Returns
    -------
    list of str
    """
    names, taken = [], set()
    for row in targets:
        name = re.sub(r"[^\w.+-]+", "_", str(row["label"]), flags=re.ASCII).strip("._")[:_MAX_NAME]
        name = name or f"{row['ra']:.6f}_{row['dec']:.6f}"
        unique, number = name, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        names.append(unique)
    return names


def _write_table(table, path):
    text = StringIO()
    table.write(text, format="ascii.ecsv")
    _write_text(path, text.getvalue())


def _write_text(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
