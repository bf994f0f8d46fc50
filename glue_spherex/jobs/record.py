"""How long runs take on this machine: a record of those that were made here, and what it says about the next one.

Every job and every plain run notes its images, measurements and seconds in the store of jobs. What is noted is only of
use for a forecast, so that a store that cannot be read or written is no reason to stop anything.
"""

import logging
import os
import platform
import time

import numpy as np

from .._version import __version__
from ..model.wording import counted
from .errors import JobError
from .store import JobStore

#: Settings that change how long a measurement takes.
RELEVANT = ("engine", "background", "background_fit", "extent", "weights", "psf_zones", "background_box")
#: So many of the last runs of a kind are looked at.
MOST_RUNS = 40
_BUSY_SECONDS = 0.5
#: Images of sizes that differ by more than this factor are of another kind.
_SAME_SIZE = 4.0
#: Seconds to begin and end, per image, and per measurement: only their ratio counts, and only while too few runs are
#: noted to tell one from the other.
_SHARES = np.array([0.5, 0.003, 0.001])
_SHARES_WEIGHT = 0.05
_ROUNDS = 20
_LOG = logging.getLogger(__name__)


def remember_run(settings, images, measurements, seconds, *, workers=1, scheduler=None, image_bytes=0.0, home=None):
    """Note how long a run took, for `expected_seconds`.

    Parameters
    ----------
    settings : Settings
    images : int
        Images that were measured in this time; nothing is noted if there are none.
    measurements : int
        Rows of spectra that they gave.
    seconds : float
        From the first image to the written result.
    workers : int, optional
        Processes.
    scheduler : str, optional
        Address of the Dask cluster that measured.
    image_bytes : float, optional
        Usual size of an image's file.
    home : path-like, optional
        Folder of the store of jobs; see `glue_spherex.jobs.store.default_home`.

    Returns
    -------
    bool
        Whether it was noted; a store that cannot be used does no harm.
    """
    if images < 1 or not 0 < seconds < np.inf:
        return False
    try:
        with JobStore(home, busy_seconds=_BUSY_SECONDS) as store:
            store.add_run(
                time=time.time(), machine=platform.node(), version=__version__, engine=settings.engine,
                settings=_kind(settings), workers=int(workers), scheduler=scheduler or "", images=int(images),
                measurements=int(measurements), image_bytes=float(image_bytes), seconds=float(seconds),
            )  # fmt: skip
    except (JobError, OSError) as error:
        _LOG.info("this run's time is not noted: %s", error)
        return False
    return True


def expected_seconds(n_images, n_measurements, settings, workers=1, scheduler=None, *, image_bytes=None):
    """How long a run will take, from the record of this machine.

    Seconds per image and per measurement are fitted to what is noted about the last runs with the same settings; runs
    that do not fit, for example because the machine was busy, count little.

    Parameters
    ----------
    n_images, n_measurements : int
        Images to measure, and the rows of spectra that they will give.
    settings : Settings
    workers : int, optional
        Processes.
    scheduler : str, optional
        Address of a Dask cluster that measures.
    image_bytes : float, optional
        Usual size of an image's file: cutouts and full frames take different times.

    Returns
    -------
    seconds : float or None
        None if nothing is known.
    basis : str
        From what, such as "from 12 runs on this machine", or why nothing is known.
    """
    try:
        with JobStore(busy_seconds=_BUSY_SECONDS) as store:
            noted = store.runs(machine=platform.node(), engine=settings.engine, scheduler=scheduler or "")
    except (JobError, OSError) as error:
        return None, f"the record of this machine cannot be read: {error}"
    if not noted:
        where = f"on the cluster {scheduler} from" if scheduler else "on"
        return None, f"no run with the engine {settings.engine} has been made {where} this machine yet"
    runs, differs = _comparable(noted, _kind(settings), image_bytes)
    seconds = _forecast(runs, n_images, n_measurements, _share(workers, scheduler), workers)
    return seconds, f"from {counted(len(runs), 'run')} on this machine{' with ' * bool(differs)}{' and '.join(differs)}"


def _kind(settings):
    """The settings that matter for the time, as a text."""
    return " ".join(f"{name}={getattr(settings, name)}" for name in RELEVANT)


def _comparable(runs, kind, image_bytes):
    """Those of some runs that are like another one, and in what they are not."""
    differs = []
    tests = [(lambda run: run["settings"] == kind, "other settings")]
    if image_bytes:
        tests.append((lambda run: _same_size(run["image_bytes"], image_bytes), "images of another size"))
    for test, words in tests:
        alike = [run for run in runs if test(run)]
        if not alike:
            differs.append(words)
        runs = alike or runs
    return runs[:MOST_RUNS], differs


def _same_size(one, other):
    return one > 0 and max(one, other) <= _SAME_SIZE * min(one, other)


def _share(workers, scheduler):
    """Processes that really work side by side."""
    return 1 if scheduler else max(1, min(workers, os.cpu_count() or 1))


def _forecast(runs, n_images, n_measurements, share, workers):
    """Seconds of a run after others: begin and end, images, measurements, each with the seconds that fit them best."""
    took = np.array([run["seconds"] for run in runs])
    design = np.array(
        [
            [1.0, run["images"] / _share(run["workers"], run["scheduler"]),
             run["measurements"] / _share(run["workers"], run["scheduler"])]
            for run in runs
        ]
    )  # fmt: skip
    seconds_each = _robust_fit(design, took)
    same = np.array([run["workers"] == workers for run in runs])
    factor = float(np.median((took / (design @ seconds_each))[same])) if same.any() else 1.0
    return factor * float(np.array([1.0, n_images / share, n_measurements / share]) @ seconds_each)


def _robust_fit(design, took):
    """Seconds of each kind, none below 0, with small relative deviations; single large ones count little.

    Least absolute relative deviations by reweighted least squares, and a little of the usual shares, so that a few runs
    that are all alike have a solution as well.

    Parameters
    ----------
    design : ndarray, shape (n, 3)
    took : ndarray, shape (n,), s

    Returns
    -------
    ndarray, shape (3,), s
    """
    from scipy.optimize import nnls

    relative = design / took[:, None]
    usual = _SHARES * np.median(1 / (relative @ _SHARES))
    weights = np.ones(len(took))
    for _ in range(_ROUNDS):
        rows = np.vstack([relative * weights[:, None], _SHARES_WEIGHT * np.diag(1 / usual)])
        wanted = np.append(weights, np.full(len(usual), _SHARES_WEIGHT))
        found = usual * nnls(rows * usual, wanted)[0]
        weights = 1 / np.sqrt(np.maximum(np.abs(relative @ found - 1), 0.01) / 0.01)
    return found
