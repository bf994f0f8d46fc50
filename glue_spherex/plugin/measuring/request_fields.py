"""The fields of a request: which images, which wavelengths and times, and how it is measured."""

import os
from importlib.util import find_spec
from tempfile import TemporaryFile

from echo import CallbackProperty, SelectionCallbackProperty

from ...extras import how_to_install
from ...io.typed_values import MJD_FIRST, MJD_LAST, mjd_of, number_of, ranges_of, ranges_text, whole_number_of
from ...photometry.output import EXTENSIONS, SETTINGS_NAME
from ...photometry.settings import BACKGROUND_FITS, BACKGROUNDS, ENGINES, EXTENTS, PSF_ZONES, WEIGHTS, Settings
from ...photometry.tractor import tractor_available
from .archive_fields import ArchiveFields

#: Choices of the fields, in words.
WORDS = {
    "background": {"local": "mean of the box", "zodi": "mean of the box, zodiacal light subtracted first"},
    "background_fit": {"none": "nothing more", "constant": "a constant as well", "plane": "a plane as well"},
    "engine": {"builtin": "built-in", "tractor": "The Tractor"},
    "extent": {"tractor": "of The Tractor's truncated profile", "infinite": "of all its light"},
    "weights": {"model": "what the model predicts", "variance": "the VARIANCE plane"},
    "psf_zones": {"nearest": "of the nearest zone", "interpolated": "interpolated between zones"},
    "spectrum_format": {
        "votable": "VOTable",
        "fits": "FITS",
        "ecsv": "ECSV",
        "ipac": "IPAC table",
        "csv": "CSV",
        "parquet": "Parquet",
    },
}
#: Words of the form for parameters that sentences name.
_FIELD_WORDS = {"background_box": "Background box", "psf_shift": "Shift in x, y"}
#: Fields that can be wrong, in the order of the dialog.
_ORDER = (
    "image_folders", "use_archive", "calibration", "wavelength", "time_from", "time_to", "background_box", "engine",
    "workers", "output", "extent", "psf_shift_x", "spectrum_format", "scheduler",
)  # fmt: skip
_CHOICES = {
    "background": BACKGROUNDS,
    "background_fit": BACKGROUND_FITS,
    "engine": ENGINES,
    "extent": EXTENTS,
    "weights": WEIGHTS,
    "psf_zones": PSF_ZONES,
    "spectrum_format": tuple(EXTENSIONS),
}


class RequestFields(ArchiveFields):
    """What is typed and chosen; numbers are text until they are used.

    Attributes
    ----------
    engine_note : str
        Why The Tractor cannot be chosen; '' where it can.
    """

    known_folders = CallbackProperty((), docstring="folders with images that can be ticked")
    image_folders = CallbackProperty((), docstring="those that are ticked")
    calibration = CallbackProperty("", docstring="folder with calibration files")
    detectors = CallbackProperty((), docstring="detectors; all where empty")
    wavelength = CallbackProperty("", docstring="wavelength ranges, µm")
    time_from = CallbackProperty("", docstring="first moment, MJD or date")
    time_to = CallbackProperty("", docstring="last moment, MJD or date")
    background_box = CallbackProperty("15", docstring="side of the box, pixels")
    background = SelectionCallbackProperty(docstring="how the local background is found")
    background_fit = SelectionCallbackProperty(docstring="background that is fitted with the fluxes")
    engine = SelectionCallbackProperty(docstring="what fits")
    extent = SelectionCallbackProperty(docstring="which total flux of a Sérsic profile")
    weights = SelectionCallbackProperty(docstring="variance of a pixel")
    psf_zones = SelectionCallbackProperty(docstring="PSF between the zones of a detector")
    psf_shift_x = CallbackProperty("0", docstring="added to positions, pixels")
    psf_shift_y = CallbackProperty("0", docstring="added to positions, pixels")
    flux_correction = CallbackProperty(True, docstring="whether QR2 is put on the gain of QR3")
    spectrum_format = SelectionCallbackProperty(docstring="of the files with spectra")
    workers = CallbackProperty("1", docstring="processes")
    scheduler = CallbackProperty("", docstring="address of a Dask cluster")
    title = CallbackProperty("", docstring="of the job")
    output = CallbackProperty("", docstring="result folder; that of the job where empty")

    def __init__(self):
        super().__init__()
        for name, choices in _CHOICES.items():
            selection = getattr(RequestFields, name)
            selection.set_choices(self, list(choices))
            selection.set_display_func(self, WORDS[name].get)
        self.engine_note = tractor_available()[1]

    # folders

    def add_folder(self, folder):
        """Know a folder with images, and tick it.

        Parameters
        ----------
        folder : path-like
        """
        folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        self.known_folders = tuple(dict.fromkeys([folder, *self.known_folders]))
        self.image_folders = tuple(dict.fromkeys([*self.image_folders, folder]))

    def tick_folder(self, folder, ticked=True):
        """Use a folder that is known, or do not use it."""
        others = tuple(known for known in self.image_folders if known != folder)
        self.image_folders = (*others, folder) if ticked else others

    def forget_folder(self, folder):
        """Take a folder off the list."""
        self.tick_folder(folder, False)
        self.known_folders = tuple(known for known in self.known_folders if known != folder)

    def folder(self, name):
        """The folder in the field ``"calibration"`` or ``"output"``; None where there is none.

        Parameters
        ----------
        name : str

        Returns
        -------
        str or None
            ``~`` is the user's own folder.
        """
        return os.path.expanduser(getattr(self, name).strip()) or None

    # values

    def settings(self):
        """How it is measured.

        Returns
        -------
        Settings

        Raises
        ------
        ValueError
            If a field is wrong; `wrong` says which.
        """
        return Settings(
            background_box=whole_number_of(self.background_box, "background box"),
            psf_shift=self._shift(),
            wavelength=ranges_of(self.wavelength) or None,
            time=self._time(),
            detectors=tuple(self.detectors) or None,
            **{name: getattr(self, name) for name in _CHOICES if name != "spectrum_format"},
        )

    def n_workers(self):
        """Number of processes; a `ValueError` if it is none from 1 to 1024."""
        number = whole_number_of(self.workers, "processes")
        if not 1 <= number <= 1024:
            raise ValueError(f"processes is {number}; a whole number from 1 to 1024 is needed.")
        return number

    def missing(self):
        """What must be given still: dict of field to sentence."""
        if not self.image_folders and not self.use_archive:
            return {"image_folders": "Tick or add a folder with Level-2 images, or tick the archive."}
        return {}

    def wrong(self):
        """What is not allowed: dict of field to sentence."""
        found = {
            "image_folders": self._wrong_folders(),
            "use_archive": self.archive_note if self.use_archive else "",
            "calibration": _no_folder(self.folder("calibration"), "Calibration"),
            "scheduler": self._wrong_scheduler(),
            "output": self._wrong_output(),
            "engine": self.engine_note if self.engine == "tractor" else "",
        }
        tests = {
            "background_box": lambda: Settings(background_box=whole_number_of(self.background_box, "background box")),
            "psf_shift_x": self._shift,
            "wavelength": lambda: ranges_of(self.wavelength),
            "time_from": self._time,
            "workers": self.n_workers,
            "extent": self._check_extent,
            "spectrum_format": self._check_format,
        }
        for name, test in tests.items():
            try:
                test()
            except ValueError as error:
                found[name] = _in_words(str(error))
        if found.get("time_from", "").startswith("To "):
            found["time_to"] = found.pop("time_from")
        return {name: found[name] for name in _ORDER if found.get(name)}

    def _time(self):
        if not (self.time_from.strip() or self.time_to.strip()):
            return None
        low = mjd_of(self.time_from, "from") if self.time_from.strip() else MJD_FIRST
        high = mjd_of(self.time_to, "to", whole_day=True) if self.time_to.strip() else MJD_LAST
        return Settings(time=(low, high)).time

    def _shift(self):
        x, y = number_of(self.psf_shift_x, "shift in x"), number_of(self.psf_shift_y, "shift in y")
        return Settings(psf_shift=(x, y)).psf_shift

    def _wrong_folders(self):
        return next((sentence for sentence in (_no_folder(f, "Images") for f in self.image_folders) if sentence), "")

    def _wrong_scheduler(self):
        if not self.scheduler.strip():
            return ""
        if "://" not in self.scheduler:
            return f"Dask scheduler is {self.scheduler.strip()!r}; an address such as tcp://host:8786 is needed."
        if find_spec("distributed") is None:
            return f"A Dask cluster needs distributed, not installed here: {how_to_install('dask')}."
        return ""

    def _wrong_output(self):
        folder = self.folder("output")
        if folder is None:
            return ""
        if not os.path.isabs(folder):
            home = os.path.join(os.path.expanduser("~"), folder)
            return f"Result folder: {folder!r} does not say where; write its whole path, such as {home}."
        existing = path = os.path.normpath(folder)
        while not os.path.lexists(existing):
            existing = os.path.dirname(existing)
        if not os.path.isdir(existing):
            return f"Result folder: {existing} is a file; name a folder."
        try:
            with TemporaryFile(dir=existing):  # permissions do not tell of read-only disks and of /proc
                return ""
        except OSError as error:
            which = path if existing == path else f"{path} cannot be made: {existing}"
            return f"Result folder: {which} cannot be written ({error.strerror or error}); name another one."

    def notes(self):
        """What is allowed, but should be known before: dict of field to sentence."""
        folder = self.folder("output")
        if folder is None or not os.path.isabs(folder) or not os.path.isfile(os.path.join(folder, SETTINGS_NAME)):
            return {}
        return {"output": f"{folder} holds a result, which will be replaced unless it is that of another job."}

    def _check_extent(self):
        if self.engine == "tractor" and self.extent != "tractor":
            raise ValueError(f"Sérsic flux: The Tractor gives only that {WORDS['extent']['tractor']}.")

    def _check_format(self):
        if self.spectrum_format == "parquet" and find_spec("pyarrow") is None:
            raise ValueError(f"Parquet needs pyarrow, not installed here: {how_to_install('parquet')}.")

    # from a job

    def fill_from(self, request):
        """Take the values of a request.

        Parameters
        ----------
        request : glue_spherex.jobs.Request
        """
        settings = request.settings
        self.known_folders = tuple(dict.fromkeys([*request.image_folders, *self.known_folders]))
        self.image_folders = tuple(request.image_folders)
        self.fill_archive_from(request)
        low, high = settings.time or (MJD_FIRST, MJD_LAST)
        self.update_from_dict(
            {
                "calibration": request.calibration or "",
                "detectors": tuple(settings.detectors or ()),
                "wavelength": ranges_text(settings.wavelength),
                "time_from": "" if low == MJD_FIRST else f"{low:.15g}",
                "time_to": "" if high == MJD_LAST else f"{high:.15g}",
                "background_box": str(settings.background_box),
                "psf_shift_x": f"{settings.psf_shift[0]:.15g}",
                "psf_shift_y": f"{settings.psf_shift[1]:.15g}",
                "flux_correction": request.flux_correction,
                "spectrum_format": request.spectrum_format,
                "workers": str(request.workers),
                "scheduler": request.scheduler or "",
                "output": "",
                **{name: getattr(settings, name) for name in _CHOICES if name != "spectrum_format"},
            }
        )


def _in_words(sentence):
    """A sentence about a setting with the words of its field instead of the name of the parameter."""
    for parameter, word in _FIELD_WORDS.items():
        sentence = sentence.replace(f"{parameter} is ", f"{word} is ", 1)
    return sentence[0].upper() + sentence[1:]


def _no_folder(folder, what):
    return "" if folder is None or os.path.isdir(folder) else f"{what}: there is no folder {folder}."
