"""The part of the measure dialog that says on which images and how it is measured."""

import os

from qtpy import QtCore, QtWidgets

from ...model import DETECTORS
from ..open_dialogs import push_button
from .folder_list import FolderList
from .form import Fold, Form

_NUMBERS, _DATES = 72, 106  # widths of fields, px


class RequestForm(Form):
    """Which images.

    Parameters
    ----------
    state : MeasureState
    """

    def __init__(self, state):
        super().__init__()
        self.state, self.request = state, state.request
        self.folder_list = FolderList(self.request)
        self.fields["image_folders"] = self.folder_list
        tip = "Folders with Level-2 images, full frames or cutouts; ticked ones are searched with their subfolders"
        self.add_row("Im&ages in", self.folder_list, tip=tip)
        self.add_folder_button = push_button("Add folder…", self._add_folder)
        self.add_folder_button.setToolTip("Add a folder with Level-2 images; it is remembered for the next time")
        self.add_row("", self.add_folder_button, name="add folder")
        self._archive()
        tip = (
            "Folder with the archive's calibration files, for images in folders: solid-angle maps and spectral WCS. "
            "Without it wavelengths are good to 1 nm and fluxes to 2 %. Images of the archive come with theirs"
        )
        line = self.line(self.request, "calibration", tip, placeholder="for folders; none: their headers")
        self.add_row("Ca&libration", line, push_button("Browse…", self._browse("calibration", "Calibration files")),
                     tip=tip)  # fmt: skip
        self._detectors()
        tip = "Ranges that are measured, 0.75 to 5.01 µm, parted by commas; all if empty"
        self.add_row("&Wavelengths", self.line(self.request, "wavelength", tip, placeholder="all; or 0.9-1.2, 2.0-2.4"),
                     "µm", tip=tip)  # fmt: skip
        tip = "Only images of this time: dates (UTC) as 2025-08-13, whole days; or modified Julian dates; open if empty"
        self.add_row("T&ime", self.line(self.request, "time_from", tip, _DATES, "from the first"), "to",
                     self.line(self.request, "time_to", tip, _DATES, "the last"), tip=tip)  # fmt: skip

    def _archive(self):
        request, note = self.request, self.request.archive_note
        tip = (
            "Images of the targets are found in the public archive of SPHEREx, and only the pixels around them fetched"
        )
        text = "fetch what is needed from IRSA"
        box = self.check(request, "use_archive", text, note or f"{tip}; images in the folders go first")
        self.add_row("Archi&ve", box, tip=tip, name="use_archive")
        self.mark({})
        tip = "Images that were processed for several data releases are taken from the newest one, or from one alone"
        self.add_row("  release", self.combo(request, "archive_release", tip), tip=tip, name="archive_release")
        tip = "The wide survey covers the whole sky; the deep fields are at the poles of the ecliptic"
        self.add_row("  survey", self.combo(request, "archive_fields", tip), tip=tip, name="archive_fields")
        tip = "Cutouts of all images are put into the result folder, so that spectra and pixels travel together"
        keep = self.check(request, "keep_cutouts", "keep the cutouts with the result", tip)
        self.add_row("", keep, name="keep_cutouts")
        request.add_callback("use_archive", self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Show the fields that count."""
        self.fields["use_archive"].setEnabled(not self.request.archive_note or self.request.use_archive)
        for name in ("archive_release", "archive_fields", "keep_cutouts"):
            self.show_row(name, bool(self.request.use_archive))

    def mark(self, wrong, notes=None):
        """Mark fields; below the archive stands why it cannot be chosen."""
        note = self.request.archive_note
        super().mark(wrong, {**({"use_archive": note} if note else {}), **(notes or {})})

    def _detectors(self):
        self.detector_boxes, row = {}, QtWidgets.QWidget()
        line = QtWidgets.QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        for number, detector in DETECTORS.items():
            box = QtWidgets.QCheckBox(str(number))
            low, high = detector.wavelength_min_um, detector.wavelength_max_um
            box.setToolTip(f"Detector {number}: {low:.2f} to {high:.2f} µm. Without any tick all are used")
            box.clicked.connect(self._detectors_clicked)
            self.detector_boxes[number] = box
            line.addWidget(box)
        line.addStretch(1)
        self.add_row("Detectors", row, tip="Which detectors are used; all of them without a tick")
        self.request.add_callback("detectors", self._show_detectors)
        self._show_detectors()

    def _detectors_clicked(self, *args):
        self.request.detectors = tuple(number for number, box in self.detector_boxes.items() if box.isChecked())

    def _show_detectors(self, *args):
        for number, box in self.detector_boxes.items():
            box.setChecked(number in self.request.detectors)

    def _add_folder(self, *args):
        start = next(iter(self.request.image_folders or self.request.known_folders), "")
        folder = QtWidgets.QFileDialog.getExistingDirectory(self, "Folder with Level-2 images", start)
        if folder:
            self.request.add_folder(folder)

    def _browse(self, name, title):
        def browse(*args):
            start = getattr(self.request, name) or os.path.dirname(next(iter(self.request.image_folders), ""))
            folder = QtWidgets.QFileDialog.getExistingDirectory(self, title, start)
            if folder:
                setattr(self.request, name, folder)

        return browse


class MethodForm(Form):
    """How it is measured, and where the result goes.

    Parameters
    ----------
    state : MeasureState
    """

    def __init__(self, state):
        super().__init__()
        self.state, self.request = state, state.request
        self._background()
        engine = self.combo(self.request, "engine", "What fits the fluxes")
        self.add_row("&Engine", engine, name="engine")
        if self.request.engine_note:
            engine.model().item(1).setEnabled(False)
            engine.setItemData(1, self.request.engine_note, QtCore.Qt.ToolTipRole)
            engine.setToolTip(f"What fits the fluxes. {self.request.engine_note}")
        self._run()
        self.advanced = Fold("Advanced settings", self._advanced())
        self.add_widget(self.advanced)

    def _background(self):
        tip = "Side of the box around a target from which its background is taken: an odd or even number, 5 to 101 px"
        box = self.line(self.request, "background_box", tip, _NUMBERS)
        self.add_row("Background b&ox", box, "px, 5 to 101", tip=tip)
        tip = "The level is the sigma-clipped mean of the box; the model of the zodiacal light may be subtracted first"
        self.add_row("Background", self.combo(self.request, "background", tip), tip=tip)

    def _run(self):
        cores = os.cpu_count() or 1
        tip = f"Processes that share the images, 1 to 1024; this machine has {cores} cores. The numbers are the same"
        self.add_row("&Processes", self.line(self.request, "workers", tip, _NUMBERS), f"of {cores} cores", tip=tip)
        tip = "Title in the list of jobs, any text"
        self.title = self.line(self.request, "title", tip)
        self.add_row("&Title", self.title, tip=tip)
        tip = "Where the spectra are written; in the folder of the job if empty"
        line = self.line(self.request, "output", tip, placeholder="in the folder of the job")
        self.add_row("Res&ult folder", line, push_button("Browse…", self._browse), tip=tip)

    def _advanced(self):
        form, request = Form(), self.request
        tip = "A background that is fitted together with the fluxes, on top of that of the box"
        form.add_row("Fit with the fluxes", form.combo(request, "background_fit", tip), tip=tip)
        tip = "Which total flux of a Sérsic profile is given; IRSA's tool gives that of The Tractor"
        form.add_row("Sérsic flux", form.combo(request, "extent", tip), tip=tip)
        tip = "Variance of a pixel in the fit"
        form.add_row("Variance", form.combo(request, "weights", tip), tip=tip)
        tip = "PSF at the place of a target"
        form.add_row("PSF", form.combo(request, "psf_zones", tip), tip=tip)
        tip = "Added to the position of every template, -1 to 1 px each: the opposite of the offset of the PSF's core"
        form.add_row("Shift in x, y", form.line(request, "psf_shift_x", tip, _NUMBERS),
                     form.line(request, "psf_shift_y", tip, _NUMBERS), "px, -1 to 1", tip=tip)  # fmt: skip
        text = "put QR2 images on the gain of QR3"
        tip = "Needs the map in the calibration folder; without it nothing is done"
        form.add_row("Gain", form.check(request, "flux_correction", text, tip), tip=tip)
        tip = "Format of the files with spectra"
        form.add_row("Format", form.combo(request, "spectrum_format", tip), tip=tip)
        tip = "Address of the scheduler of a Dask cluster that measures instead of this machine; none if empty"
        form.add_row("Dask scheduler", form.line(request, "scheduler", tip, placeholder="tcp://host:8786"), tip=tip)
        return form

    def mark(self, wrong, notes=None):
        """Mark fields; the advanced settings are unfolded if one of them is wrong."""
        super().mark(wrong, notes)
        inside = self.advanced.content
        inside.mark(wrong)
        if set(wrong) & set(inside.fields):
            self.advanced.unfold()

    def show_default_title(self, title):
        """The title that the job gets if none is given."""
        self.title.setPlaceholderText(title)

    def _browse(self, *args):
        folder = QtWidgets.QFileDialog.getExistingDirectory(self, "Result folder", self.request.output)
        if folder:
            self.request.output = folder
