"""The process that works on jobs: ``python -m glue_spherex.jobs.worker FOLDER --lock FILE``; see `queue`.

Nothing from a job's folder is ever run: it holds JSON, numbers, and paths of images.
"""

import argparse
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from ..images.archive.errors import ArchiveError, ArchiveStopped
from ..model.wording import counted
from .errors import JobError
from .job_state import LOG_NAME, RESULTS_NAME, Phase, one_line
from .queue import claim_next, start_soon
from .request_files import read_answer, read_request, write_answer
from .store import JobStore

#: Seconds between two reports to the store, and between two looks whether the job is cancelled.
REPORT_SECONDS = 0.5
#: Seconds between two looks at the queue while a job runs: another worker may have died.
QUEUE_SECONDS = 15
#: Seconds for which the outcome of a job is tried to be written to a store that is locked or full.
PATIENCE_SECONDS = 600
#: A file that is given up when the disk is full, so that there is room to say so.
RESERVE_NAME, RESERVE_BYTES = "reserve", 1 << 18
_COUNTS = ("images_done", "images_total", "measurements", "failures")
_LOG = logging.getLogger(__name__)


def main(arguments=None):
    """Work on a job, and on those that wait, until none is left.

    Parameters
    ----------
    arguments : list of str, optional
        The folder of the first job, and the open file that is its lock.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", type=int, required=True)
    options = parser.parse_args(arguments)
    os.set_inheritable(options.lock, False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)sZ %(message)s", stream=sys.stderr)
    logging.Formatter.converter = time.gmtime
    ended = Ended()
    with JobStore(options.folder.parents[1]) as store:
        claim = store.job(options.folder.name), options.lock
        while claim:
            job, held = claim
            Run(store, job, ended).run()
            os.close(held)
            claim = None if ended.told else claim_next(store)
            if claim:
                _log_to(claim[0].folder)


def _log_to(folder):
    """Let what this process says go to the log of another job."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


class Ended:
    """Whether the system has told this process to end.

    Attributes
    ----------
    told : bool
    """

    def __init__(self):
        self.told = False
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for others

    def _note(self, number, frame):
        self.told = True


class _Stopped(Exception):
    """The run has to end before it has begun to measure."""


class Run:
    """One run of a job.

    Parameters
    ----------
    store : JobStore
    job : Job
    ended : Ended
    """

    def __init__(self, store, job, ended):
        self._store, self._job, self._ended = store, job, ended
        self._begin = time.monotonic()
        self._reported = self._looked = -1e9
        self._queue_seen = self._begin
        self._stop = False
        self._counts = {name: getattr(job, name) for name in _COUNTS}
        self._done_before = job.images_done
        self._measuring_since = self._begin
        self._measured = set()  # images in this run, of which there may be several cutouts
        self._rows = self._bytes = 0
        self._at_images = 0.0
        self._gains, self._doing = {}, "measures"
        self._writing_since = 0.0

    def run(self):
        """Do what the job asks for; whatever happens, the store learns about it."""
        _LOG.info("job %s begins, process %d", self._job.id, os.getpid())
        self._finally(pid=os.getpid(), message="looks for images")
        try:
            phase, message = self._measure()
        except _Stopped:
            phase, message = self._stopped()
        except Exception as error:  # noqa: BLE001 - the user must learn what failed
            _LOG.info("failed", exc_info=not isinstance(error, ValueError))
            phase, message = Phase.ERROR, self._reason(error)
        with suppress(OSError):
            (self._job.folder / RESERVE_NAME).unlink()
        _LOG.info("%s: %s", phase, one_line(message))
        ended = None if phase.is_active else self._store.clock()
        self._finally(
            phase=phase, message=message, ended=ended, seconds_left=None, pid=None, rate=self._rate(),
            seconds=self._seconds(), **self._counts,
        )  # fmt: skip

    def _reason(self, error):
        """A sentence about what ended the job."""
        if not self._job.folder.is_dir():
            return "its folder was deleted or moved while it ran"
        text = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, (ValueError, OSError)):
            text = f"unexpected {type(error).__name__}: {text} ({LOG_NAME} in the job's folder says more)"
        if "full" in text or "No space" in text or "disk I/O" in text or "too large" in text:
            text += " Free some space, then resume the job: what was measured is kept."
        return text

    def _measure(self):
        from ..photometry.output import WritingStopped, result_folder
        from ..photometry.result_store import ResultStore
        from ..photometry.stored_run import run_stored
        from .executors import executor_of
        from .record import remember_run

        (self._job.folder / RESERVE_NAME).write_bytes(b"\0" * RESERVE_BYTES)
        request, targets = read_request(self._job.folder)
        self._job.result.mkdir(parents=True, exist_ok=True)
        with ResultStore(self._job.folder / RESULTS_NAME) as results:
            images = self._images(request, targets)
            if self._stop:
                return self._stopped()
            results.set_unreadable(images.failures)
            self._counts |= {"measurements": results.counts()[1], "failures": len(images.failures)}
            with executor_of(request.workers, request.scheduler, self._wait) as executor:
                measurement = run_stored(
                    targets.sources, images, request.settings, results, executor=executor, progress=self._progress,
                    cancelled=self.stop, begun=self._begun, idle=self._idle,
                )  # fmt: skip
            self._keep_answer(images)
            for note in getattr(images, "notes", ()):
                _LOG.info("the archive: %s", one_line(note))
            results.set_unreadable(images.failures)  # with those that could not be fetched
            self._counts["failures"] = len(results.failures())  # with those whose files are no longer there
            if measurement.interrupted:
                return self._stopped()
            self._report(message="writes the result", force=True)
            if not measurement.go_through(self.stop):
                return self._stopped()
            self._writing_since = time.monotonic()
            try:
                with result_folder(self._job.result) as folder:
                    outcome = self._write(request, targets, measurement, images, folder)
            except WritingStopped:
                return self._stopped()
            seconds = time.monotonic() - self._measuring_since
            if request.archive is not None:  # the measurement alone: the archive is not this machine
                seconds = self._at_images / min(request.workers, os.cpu_count() or 1)
            remember_run(
                request.settings, len(self._measured), self._rows, seconds, workers=request.workers,
                scheduler=request.scheduler, image_bytes=self._bytes / max(1, len(self._measured)),
                home=self._store.home,
            )  # fmt: skip
            return outcome

    def _images(self, request, targets):
        """The images; the archive is searched once, and later runs of the job keep to its answer."""
        images = request.collection(self._job.result)
        images.refresh(progress=self._indexed, cancelled=self.stop)
        if request.archive is None or self._stop:
            return images
        self._doing = "fetches and measures"
        answer = read_answer(self._job.folder, images.client.settings.ibe)
        if answer is None:
            self._report(message="asks the archive", force=True)
            try:
                answer = images.search(targets.sources, **request.settings.ranges, cancelled=self.stop)
            except ArchiveStopped:
                self._stop = True
                return images
            except ArchiveError:
                if not request.image_folders:
                    raise
                return images  # it is asked once more for the measurement, which goes on without
            write_answer(self._job.folder, answer)
        images.keep_to(answer)
        return images

    def _keep_answer(self, images):
        """Keep what the archive has answered during the measurement, if it could not before."""
        answer = getattr(images, "answer", None)
        if answer is not None and read_answer(self._job.folder) is None:
            write_answer(self._job.folder, answer)

    def _wait(self, text):
        """Say that there is no worker yet."""
        self._report(message=text)
        if self.stop():
            raise _Stopped

    def _indexed(self, done, total):
        self._report(message=f"reads headers of images, {done} of {total}")

    def _begun(self, done, total):
        self._counts |= {"images_done": done, "images_total": total}
        self._done_before, self._measuring_since = done, time.monotonic()
        _LOG.info("%d images to measure, %d are done", total - done, done)
        self._report(message=self._doing, force=True)

    def _idle(self):
        self._report(message=self._doing)

    def _progress(self, done, total, result):
        from ..photometry.result_tables import image_key

        self._counts |= {"images_done": done, "images_total": total}
        self._counts["measurements"] += result.about["n_sources"]
        self._measured.add(image_key(result.about))
        self._rows += result.about["n_sources"]
        self._bytes += result.about["size"]
        self._at_images += result.about["seconds"]
        if result.about["status"] == "failed":
            self._counts["failures"] += 1
            _LOG.info("%s failed: %s", one_line(result.about["path"]), one_line(result.about["reason"]))
        else:
            self._gains = {"attempts": 0}  # it gets further
        self._report(message=self._doing, **self._gains)

    def _write(self, request, targets, measurement, images, folder):
        """Write the result folder; phase and message of the job."""
        from ..photometry.closing_notes import closing_notes
        from ..photometry.output import target_outcomes, write_result

        table = target_outcomes(targets, measurement.targets)
        if request.archive is not None:
            images.pin(folder, measurement.images["path"])
        notes = closing_notes(measurement, images, targets.sources)
        write_result(
            measurement,
            folder,
            spectrum_format=request.spectrum_format,
            targets=table,
            request=request.described(images),
            notes=notes,
            progress=self._written,
            cancelled=self.stop,
        )
        failures = self._counts["failures"]
        if failures:
            notes.insert(0, f"{counted(failures, 'image')} failed, images.ecsv in the result says why")
        if not measurement.n_rows:
            reasons = [row["reason"] for row in measurement.images if row["reason"]] or list(table["reason"])
            return Phase.ERROR, "; ".join([f"nothing could be measured: {reasons[0]}", *notes])
        done = f"{counted(measurement.n_rows, 'measurement')} of {targets.in_words}"
        if request.archive is not None and images.answer is None:
            done = f"resume the job when the archive can be asked: only the local images are measured, {done}"
            return Phase.ERROR, "; ".join([done, *notes])
        return Phase.COMPLETED, "; ".join([done, *notes])

    def _written(self, done, total):
        seconds = time.monotonic() - self._writing_since
        left = seconds / done * (total - done) if done < total else None
        self._report(message=f"writes the result, {done} of {total} sources", seconds_left=left)

    def _stopped(self):
        counts = self._counts
        kept = f"{counts['images_done']} of {counts['images_total']} images are done and kept"
        if not counts["images_total"]:
            kept = "no image is done yet"
        if not self._job.folder.is_dir():
            return Phase.ERROR, "its folder was deleted or moved while it ran"
        if self._ended.told:
            return Phase.QUEUED, f"{kept}; the system told its worker to end; it goes on by itself"
        return Phase.ABORTED, f"aborted; {kept}; resume the job to go on"

    def stop(self):
        """Whether the run has to end: cancelled, told to, or its folder has gone."""
        now = time.monotonic()
        if not self._stop and now - self._looked > REPORT_SECONDS / 2:
            self._looked = now
            self._stop = self._ended.told or not (self._job.folder / RESULTS_NAME).exists() or self._is_cancelled()
            if not self._stop and now - self._queue_seen > QUEUE_SECONDS:
                self._queue_seen = now
                start_soon(self._store)
        return self._stop

    def _is_cancelled(self):
        try:
            return self._store.is_cancelled(self._job.id)
        except JobError:  # the store is in trouble; the measurement is not
            return False

    def _report(self, message, force=False, **values):
        now = time.monotonic()
        if not force and now - self._reported < REPORT_SECONDS:
            return
        self._reported = now
        rate, left = self._rate(), self._counts["images_total"] - self._counts["images_done"]
        values = {"seconds_left": left / rate if left and rate else None} | values  # unknown while it is written
        self._store.update_soon(
            self._job.id, message=message, rate=rate, seconds=self._seconds(), **self._counts, **values
        )

    def _rate(self):
        """Images per second in this run."""
        done = self._counts["images_done"] - self._done_before
        elapsed = time.monotonic() - self._measuring_since
        return done / elapsed if done > 0 and elapsed > 0 else 0.0

    def _seconds(self):
        return self._job.seconds + time.monotonic() - self._begin

    def _finally(self, **values):
        """Tell the store something that it must know, even if it is locked or its disk is full for a while."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._store.update(self._job.id, **values)
            except JobError as error:
                _LOG.info("the store: %s", error)
                if time.monotonic() > end:
                    return None
                time.sleep(1.0)


if __name__ == "__main__":
    main()
