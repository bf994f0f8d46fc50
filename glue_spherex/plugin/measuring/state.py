"""What the measure dialog holds and does, without a window."""

import os
import re
from datetime import datetime
from functools import partial

from echo import CallbackProperty, SelectionCallbackProperty
from glue.core import Subset, message
from glue.core.exceptions import IncompatibleAttribute
from glue.core.hub import HubListener

from ...io import TargetListError
from ...jobs import default_title, submit
from ..columns import spectra_in
from ..cutouts.finding import calibration_folder, image_folders, is_fetched_folder
from ..dialogs import DATA_MESSAGES, listen
from .coverage import VIEWS
from .layers import is_made_on
from .model_fields import MODEL_FIELDS, ModelFields
from .plan import lines_of
from .planning import PlanRequest
from .remembered import remember_folders, remembered_folders
from .request_fields import RequestFields
from .sentences import sentence_of
from .target_choice import OTHER_ROLES, SHAPE_ROLES, TargetChoice, layer_text

_SUBSET_MESSAGES = (message.SubsetCreateMessage, message.SubsetUpdateMessage, message.SubsetDeleteMessage)
_DEFAULT_TITLE = re.compile(r".*, \d{4}-\d\d-\d\d \d\d:\d\d")


class MeasureState(ModelFields, HubListener):
    """A measurement that is put together and handed in as a job.

    Parameters
    ----------
    session : glue.core.Session
    layers : sequence of Data, Subset or SubsetGroup, optional
        Start with the first one.

    Attributes
    ----------
    target : TargetChoice
    request : RequestFields
    targets : Targets or None
        What `refresh` found.
    lines : list of PlanLine
        What will be measured: with the numbers of images once these are known.
    plan : Plan or None
    status : str
        What was done last, or why it could not be.
    """

    coverage_view = SelectionCallbackProperty(docstring="what the chart of the coverage shows")
    load_result = CallbackProperty(True, docstring="whether the result is loaded when it is finished")
    lines = CallbackProperty((), docstring="what will be measured")
    plan = CallbackProperty(None, docstring="numbers of images, and the expected run time")
    planning = CallbackProperty(False, docstring="whether images are being counted")
    plan_problem = CallbackProperty("", docstring="why they cannot be counted")
    status = CallbackProperty("", docstring="what was done last")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")
    changes = CallbackProperty(0, docstring="number of changes by the user so far")
    news = CallbackProperty(0, docstring="number of changes of the data so far")

    def __init__(self, session, layers=()):
        super().__init__()
        self.session = session
        self.targets = None
        self._listed = None  # the targets, also where their shape is not right yet
        self._bare = ()  # those that `lines` show without numbers of images
        self._target_problem = {}
        self._planned = None  # the request that `plan` answers
        self._stale = True  # whether the targets may have changed
        self._hearing = False  # whether it is the data that change, not the user
        collection = session.data_collection
        self.target = TargetChoice(collection, layers)
        self.request = RequestFields()
        MeasureState.coverage_view.set_choices(self, list(VIEWS))
        self.offer_neighbours(collection)
        self._preset_folders()
        for attribute in MODEL_FIELDS:
            self.add_callback(attribute, self._targets_changed)
        self.target.add_global_callback(self._targets_changed)
        self.request.add_global_callback(self._changed)
        listen(self, session.hub, DATA_MESSAGES + _SUBSET_MESSAGES, self._on_message)
        self.refresh()

    def close(self):
        """Stop listening to glue; the dialog was closed."""
        self.session.hub.unsubscribe_all(self)

    # -- folders ------------------------------------------------------------------------------------------------------

    def _preset_folders(self):
        """Folders of the spectra that are loaded, and those of the last job."""
        remembered = remembered_folders()
        spectra = spectra_in(self.session.data_collection)
        of_spectra = [folder for data in spectra for folder in image_folders(data) if not is_fetched_folder(folder)]
        of_spectra = list(dict.fromkeys(of_spectra))
        self.request.known_folders = tuple(dict.fromkeys([*of_spectra, *remembered.known]))
        present = [folder for folder in of_spectra or remembered.used if not _is_gone(folder)]
        self.request.image_folders = tuple(present)
        found = [folder for folder in map(calibration_folder, spectra) if folder]
        self.request.calibration = (found or [remembered.calibration])[0]
        if _is_gone(self.request.calibration):
            self.request.calibration = ""
        self.request.take_archive_values(remembered.archive)

    # -- what is missing or wrong -------------------------------------------------------------------------------------

    def missing(self):
        """What must be given still: dict of field to sentence, in the order of the dialog."""
        return {**self.target.missing(), **self.request.missing()}

    def wrong(self):
        """What is not allowed, where it stands: dict of field to sentence, in the order of the dialog."""
        return {**self._target_problem, **self.wrong_model(), **self.request.wrong()}

    def problems(self):
        """Why the measurement cannot be handed in: dict of field to sentence; empty if it can."""
        found = {**self.missing(), **self.wrong()}
        if not found and self.targets is not None and not self.targets.sources:
            found["targets"] = self._no_target()
        if not found and self.plan is not None and not self.plan.n_measured:
            found["plan"] = self.plan.nothing_measured
        if not found and self.plan_problem:
            found["plan"] = self.plan_problem
        return found

    def _no_target(self):
        rejected = self.targets.rejected
        if not rejected:
            return "There is no target: the list has no rows."
        rows = "row" if len(rejected) == 1 else f"{len(rejected)} rows"
        return f"There is no target: the {rows} cannot be measured. {rejected[0]}"

    # -- targets ------------------------------------------------------------------------------------------------------

    def _targets_changed(self, *args, **kwargs):
        if not self._hearing:  # choices that are offered anew say so, also where they are the same
            self._stale = True
            self._changed()

    def _changed(self, *args, **kwargs):
        self.changes += 1

    def refresh(self):
        """Find the targets anew if they have changed, and list them."""
        if self._stale:
            self._stale = False
            self._find_targets()
        asked = self.plan_request()
        outdated = self._planned is not None and asked != self._planned
        if outdated:
            self.plan, self._planned, self.plan_problem = None, None, ""
        if outdated or (self._planned is None and self._bare is not self._listed):
            self._bare, self.lines = self._listed, [] if self._listed is None else lines_of(self._listed)

    def _find_targets(self):
        self._target_problem, self.targets, self._listed = {}, None, None
        if self.target.missing():
            return
        try:
            self._listed = self.target.targets()
            if not self.wrong_model():
                self._listed, problem = self.modelled(self._listed, self._columns_of_neighbours())
                self.targets = self._listed
                self._target_problem = {"neighbours": problem} if problem else {}
        except (TargetListError, IncompatibleAttribute) as error:
            self._target_problem = {self.target.how: sentence_of(error)}

    def _columns_of_neighbours(self):
        """Those that were chosen, if the targets are from the same dataset; else they are guessed."""
        if self.neighbours is None:
            return None
        target = self.target
        same = target.how == "layer" and target.has_columns and target.layer.data is self.neighbours.data
        return target.columns if same else None

    @property
    def used_columns(self):
        """Roles of columns that count now: none of the shape where all targets have the same."""
        return ("ra", "dec", "name", *(SHAPE_ROLES if self.shape == "columns" else ()), *OTHER_ROLES)

    def _on_message(self, message_):
        """The data in glue have changed."""
        self._hearing, before, neighbours = True, self._chosen(), self.neighbours
        try:
            gone = self.target.refresh()
            self.offer_neighbours(self.session.data_collection)
        finally:
            self._hearing = False
        if neighbours is not None and self.neighbours is None:
            gone = gone or f"{layer_text(neighbours)} was removed; there are no neighbours now."
        if gone:
            self._fail(gone)
        if gone or self._chosen() != before or self._concerns(message_):
            self._stale = True
            self.news += 1

    def _chosen(self):
        """Something to compare: which data and columns are used."""
        target = self.target
        return target.how, id(target.layer), id(target.region), id(self.neighbours), target.columns

    def _concerns(self, message_):
        """Whether the targets may be others now."""
        layers = [layer for layer in (self.target.layer, self.target.region, self.neighbours) if layer is not None]
        subset, data = getattr(message_, "subset", None), getattr(message_, "data", None)
        if subset is not None:
            return any(layer is subset for layer in layers)
        return any(layer.data is data or (isinstance(layer, Subset) and not is_made_on(layer)) for layer in layers)

    # -- images and run time ------------------------------------------------------------------------------------------

    def plan_request(self):
        """What has to be counted; None while something is missing or wrong."""
        if self.targets is None or not self.targets.sources or self.missing() or self.wrong():
            return None
        request = self.request
        return PlanRequest(
            self.targets,
            request.image_folders,
            request.folder("calibration"),
            request.settings(),
            request.n_workers(),
            request.scheduler.strip() or None,
            request.flux_correction,
            request.archive_choice(),
        )

    def take_plan(self, asked, plan):
        """Show what a count has given, if it is still what is asked for.

        Parameters
        ----------
        asked : PlanRequest
        plan : Plan or Exception
            An exception is told.
        """
        if asked != self.plan_request():
            return
        self.planning, self._planned = False, asked
        if isinstance(plan, Exception):
            self.plan, self.plan_problem = None, sentence_of(plan)
        else:
            self.plan_problem = ""
            self.plan, self.lines = plan, plan.lines
            if plan.archive is not None and plan.archive.asked is not None:
                self.request.offer_releases()  # the archive may have listed newer ones

    def coverage(self, lines=()):
        """Numbers for the chart.

        Parameters
        ----------
        lines : sequence of PlanLine, optional
            Of these targets only; of all without.

        Returns
        -------
        ndarray of int, shape (k, 2), or None
            By detectors, wavelengths or dates, as `coverage_view` says; images on this computer, and to be fetched.
            None as long as nothing is counted.
        """
        plan = self.plan
        if plan is None or plan.coverage is None or not (plan.images or plan.is_complete):
            return None
        numbers = [line.number for line in lines if line.number >= 0]
        return plan.coverage.of(self.coverage_view, numbers if lines else None)

    @property
    def is_planned(self):
        """Whether the images of this very request have been counted."""
        return self._planned is not None and self._planned == self.plan_request()

    # -- handing in ---------------------------------------------------------------------------------------------------

    @property
    def default_title(self):
        """Title of the job if none is given: target, images and date."""
        sources = self.targets.sources if self.targets is not None else []
        measured = [source for source in sources if not source.companion]
        if self.plan is not None and self.plan.n_measured:
            measured = [line for line in self.plan.lines if not line.problem and not line.companion]
        if not measured:
            return "target, images and date"
        return default_title(measured, self.request.image_folders, self.request.use_archive, datetime.now())

    def submit(self):
        """Hand the measurement in, and wait until that is done.

        Returns
        -------
        glue_spherex.jobs.Job or None
            None if it could not be done; `status` says why.
        """
        hand_in = self.handing_in()
        if hand_in is None:
            return None
        try:
            job, fault = hand_in()
        except (ValueError, OSError) as error:
            return self._fail(sentence_of(error))
        self.take_job(job, fault)
        return job

    def handing_in(self):
        """What hands the measurement in, as it is put together now.

        Returns
        -------
        callable() -> (Job, str), or None
            To be called in any thread; what it gives is for `take_job`. It raises a ValueError or OSError if it cannot
            be done. None if something is missing or wrong; `status` says what.
        """
        self.refresh()
        problems = self.problems()
        if problems:
            return self._fail(" ".join(problems.values()))
        request = self.request
        calibration = request.folder("calibration")
        options = {
            "title": request.title.strip() or self.default_title,
            "workers": request.n_workers(),
            "scheduler": request.scheduler.strip() or None,
            "flux_correction": request.flux_correction,
            "spectrum_format": request.spectrum_format,
            "output": request.folder("output"),
            "origin": self._origin(),
            "archive": request.archive_choice(),
            "keep_cutouts": request.keep_cutouts,
        }
        measurement = self.targets, request.image_folders, calibration, request.settings()
        folders = request.known_folders, request.image_folders, calibration or "", request.archive_values()
        return partial(_hand_in, measurement, options, folders)

    def take_job(self, job, fault=""):
        """Say that a measurement was handed in.

        Parameters
        ----------
        job : glue_spherex.jobs.Job
        fault : str
            What went wrong beside it, as a sentence.
        """
        text = (
            f"Job {job.id} was handed in: {job.title}. Look at it in the Job monitor, or change something to measure "
        )
        self._tell(f"{text}again. {fault}".rstrip())

    def _origin(self):
        """Where the targets come from, for the record."""
        target = self.target
        value = {"layer": target.layer, "region": target.region}.get(target.how)
        return layer_text(value) if value is not None else str(getattr(target, target.how, target.how))

    def fill_from(self, request, targets, title, job_id=""):
        """Take over what a job did, to change it and run it again.

        Parameters
        ----------
        request : glue_spherex.jobs.Request
        targets : Targets
        title : str
            A default one is not taken over: it would have the old date.
        job_id : str, optional
            Of the job, to say where the targets come from.
        """
        self.target.give(targets, job_id)
        self.shape, self.neighbours = "columns", None
        self.request.fill_from(request)
        self.request.title = "" if _DEFAULT_TITLE.fullmatch(title) else title
        self.refresh()

    def _tell(self, text):
        self.failed = False
        self.status = text

    def _fail(self, text):
        self.failed = True
        self.status = text
        return None


def _is_gone(folder):
    return not os.path.isdir(folder)


def _hand_in(measurement, options, folders):
    """Hand a measurement in, and remember its folders; the job, and why these cannot be remembered."""
    job = submit(*measurement, **options)
    try:
        remember_folders(*folders)
    except (OSError, ValueError) as error:
        return job, f"The folders cannot be remembered for the next time: {error}."
    return job, ""
