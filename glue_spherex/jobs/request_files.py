"""What a job is to do, as files in its folder."""

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from ..images.archive.choice import ArchiveChoice
from ..io.files import replacing
from ..model import Sersic, Source
from ..photometry.output import IMAGES_NAME, row_label
from ..photometry.settings import Settings
from .errors import JobError

REQUEST_NAME = "job.json"
TARGETS_NAME = "targets.json"
#: Which of the archive's images a job measures; there once it has searched.
ANSWER_NAME = "archive.json"
#: Layout of these files.
LAYOUT = 1


@dataclass(frozen=True)
class Request:
    """What a job measures.

    Parameters
    ----------
    image_folders : tuple of str
        Absolute. May be empty if there is an archive.
    calibration : str or None
        Folder with calibration files, absolute.
    flux_correction : bool
    settings : Settings
    workers : int
        Processes.
    scheduler : str or None
        Address of a Dask cluster, which takes the place of processes.
    spectrum_format : str
        Of the files with spectra.
    output : str or None
        Result folder, absolute; in the job's folder if None.
    targets : str or list of str
        Where the targets come from, in words.
    archive : ArchiveChoice or None
        Which images of the archive are measured, beside those in the folders.
    keep_cutouts : bool
        Whether what is fetched is put into the result folder.
    """

    image_folders: tuple
    calibration: str | None = None
    flux_correction: bool = True
    settings: Settings = field(default_factory=Settings)
    workers: int = 1
    scheduler: str | None = None
    spectrum_format: str = "votable"
    output: str | None = None
    targets: object = ""
    archive: object = None
    keep_cutouts: bool = True

    @classmethod
    def of(cls, image_folders, calibration, settings=None, *, output=None, origin="", **values):
        """A request whose paths are absolute; the arguments are those of `glue_spherex.jobs.submit`."""
        origin = _absolute(origin) if isinstance(origin, os.PathLike) else origin
        folders = [image_folders] if isinstance(image_folders, str | os.PathLike) else image_folders
        return cls(
            tuple(_absolute(folder) for folder in folders),
            calibration and _absolute(calibration),
            settings=settings or Settings(),
            output=output and _absolute(output),
            targets=origin if isinstance(origin, list) else str(origin),
            **values,
        )

    def places(self, result):
        """Folders where the images are, for those who look for the pixels of a job's result."""
        return (*self.image_folders, *([] if self.archive is None else [str(Path(result) / IMAGES_NAME)]))

    @property
    def images_in_words(self):
        """Where the images come from, a line each."""
        lines = list(self.image_folders)
        if self.archive is not None:
            asked = [*(self.archive.collections or ()), self.archive.release, self.archive.fields]
            lines.append(f"the archive ({', '.join(filter(None, asked)) or 'all collections'})")
        return lines

    @property
    def calibration_in_words(self):
        """Which calibration files are used."""
        parts = [self.calibration] if self.calibration else ["none"] * bool(self.image_folders)
        return "; ".join([*parts, *(["the archive's, for what is fetched"] if self.archive is not None else [])])

    def collection(self, result=None):
        """The images.

        Parameters
        ----------
        result : path, optional
            The result folder, for the cutouts that are kept there.

        Returns
        -------
        FolderCollection or IRSACollection
        """
        from ..images import FolderCollection

        local = None
        if self.image_folders:
            local = FolderCollection(self.image_folders, self.calibration, flux_correction=self.flux_correction)
        if self.archive is None:
            return local
        keep_in = Path(result) / IMAGES_NAME if result is not None and self.keep_cutouts else None
        return self.archive.collection(
            local, keep_in=keep_in, flux_correction=self.flux_correction, background_box=self.settings.background_box
        )

    def as_dict(self):
        """JSON-like values."""
        return asdict(self)

    def described(self, images):
        """What was asked for beside the settings, as JSON-like values for the result folder.

        Parameters
        ----------
        images : ImageCollection
            From `collection`.
        """
        names = ("targets", "image_folders", "calibration", "flux_correction")
        values = {name: getattr(self, name) for name in names}
        return values if self.archive is None else values | {"archive": images.described()}


def _absolute(path):
    return os.path.abspath(os.fspath(path))


def write_request(folder, request, targets):
    """Write what was asked for into the folder of a job.

    Parameters
    ----------
    folder : Path
    request : Request
    targets : Targets
    """
    _write_json(folder / REQUEST_NAME, {"layout": LAYOUT, **request.as_dict()})
    content = {
        "layout": LAYOUT,
        "sources": [_source_dict(source) for source in targets.sources],
        "rows": np.asarray(targets.rows).tolist(),
        "rejected": [
            {"row": int(rejected.row), "reason": rejected.reason, "label": row_label(targets, rejected.row)}
            for rejected in targets.rejected
        ],
    }
    _write_json(folder / TARGETS_NAME, content)


def read_request(folder):
    """Read what was asked for.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    request : Request
    targets : Targets

    Raises
    ------
    JobError
        If a file is missing, damaged, or of a newer program.
    """
    from astropy.table import QTable

    from ..io import Rejected, Targets

    folder = Path(folder)
    values, content = _read_json(folder / REQUEST_NAME), _read_json(folder / TARGETS_NAME)
    try:
        known = {spec.name for spec in fields(Request)}
        given = {name: value for name, value in values.items() if name in known}
        given["settings"] = Settings(**given["settings"])
        given["archive"] = given.get("archive") and ArchiveChoice(**given["archive"])
        request = Request(**given | {"image_folders": tuple(given["image_folders"])})
        sources = [_source(line) for line in content["sources"]]
        rejected = [Rejected(line["row"], line["reason"]) for line in content["rejected"]]
        n_rows = max([len(sources) + len(rejected), *(line["row"] + 1 for line in content["rejected"])])
        names = np.full(n_rows, "", dtype=object)  # of a subset, rows are far apart
        for line in content["rejected"]:
            names[line["row"]] = line["label"]
        table = QTable({"name": names.astype(str)})
        targets = Targets(sources, np.array(content["rows"], dtype=int), rejected, table, {"name": "name"})
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise JobError(f"the files of the job in {str(folder)!r} are damaged ({error}); submit it again.") from error
    return request, targets


def write_answer(folder, answer):
    """Write what the archive has answered into the folder of a job, which then keeps to it.

    Parameters
    ----------
    folder : Path
    answer : ArchiveAnswer
    """
    _write_json(folder / ANSWER_NAME, {"layout": LAYOUT, **answer.as_dict()})


def read_answer(folder, ibe=None):
    """What the archive has answered to a job.

    Parameters
    ----------
    folder : Path
    ibe : str, optional
        Address of the file server now: it may be another one than that of the day when the answer was kept.

    Returns
    -------
    ArchiveAnswer or None
        None before the first search.

    Raises
    ------
    JobError
        If the file is damaged.
    """
    path = folder / ANSWER_NAME
    if not path.exists():
        return None
    from ..images.archive import ArchiveAnswer

    try:
        answer = ArchiveAnswer.from_dict(_read_json(path))
        if ibe is not None:
            answer = replace(answer, rows=[image._replace(access_url=ibe + image.cloud) for image in answer.rows])
        return answer
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, JobError):
            raise
        raise JobError(
            f"{str(path)!r}, which says what the archive answered, is damaged ({error}); delete it to search again."
        ) from error


def check_folder(known):
    """Raise a `JobError` if the folder of a job is gone."""
    if not known.folder.is_dir():
        raise JobError(
            f"the folder of job {known.id}, {str(known.folder)!r}, is gone: somebody has deleted or moved it. "
            "The job can only be removed."
        )


def _source_dict(source):
    profile = source.profile
    values = {name: getattr(source, name) for name in _SOURCE}
    return values | {"profile": profile and asdict(profile), "companion": source.companion}


def _source(line):
    profile = Sersic(**line["profile"]) if line["profile"] else None
    companion = line.get("companion", False)  # jobs of the first version have no such line
    return Source(**{name: line[name] for name in _SOURCE}, profile=profile, companion=companion)


_SOURCE = ("ra", "dec", "label", "pmra", "pmdec", "ref_epoch")


def _write_json(path, content):
    with replacing(path) as part, open(part, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, default=_plain_number))  # quicker than dump
        file.flush()
        os.fsync(file.fileno())


def _plain_number(value):
    """A number of NumPy as one that JSON knows."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be kept in the files of a job.")


def _read_json(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise JobError(f"{str(path)!r}, which says what the job is to do, cannot be read ({why}).") from error
    if not isinstance(content, dict) or not isinstance(content.get("layout"), int):
        raise JobError(f"{str(path)!r} does not describe a job.")
    if content["layout"] > LAYOUT:
        raise JobError(f"{str(path)!r} was written by a newer version of glue-spherex; update this one to use it.")
    return content
