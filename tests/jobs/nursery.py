"""A process with everything imported, whose children work on jobs at once: workers to be killed by the dozen.

It reads JSON lines: {"home", "options"}: start a worker for the next waiting job, and print its pid; {"wait": pid}:
wait for it. A worker writes the path of each image that it measures to the file ``measured`` in the job's folder.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import astropy.table  # noqa: F401 - what a worker needs is imported once, for all of them

import glue_spherex.images.collection
import glue_spherex.io.spectra
import glue_spherex.io.targets
import glue_spherex.io.votable_write
import glue_spherex.jobs.executors  # noqa: F401
from glue_spherex.jobs import worker
from glue_spherex.jobs.queue import claim_next
from glue_spherex.jobs.store import JobStore
from glue_spherex.photometry import image_result, output, pipeline, result_store, result_tables  # noqa: F401


def work(home, slow=0.0, batch=0.25, report=0.5, queue=1e9, fault=None, at=None, made_with=None, largest=None):
    result_store.BATCH_SECONDS, worker.REPORT_SECONDS, worker.QUEUE_SECONDS = batch, report, queue
    real = pipeline.measure_match
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if made_with:
        image_result.made_with = lambda engine: made_with
    with JobStore(home) as store:
        job, held = claim_next(store)
        measured = open(job.folder / "measured", "a", buffering=1)  # noqa: SIM115

        def measure_match(sources, images, match, settings):
            time.sleep(slow)
            path = Path(match.record.path)
            if str(path) == at:
                FAULTS[fault](path)
            result = real(sources, images, match, settings)
            measured.write(f"{path}\n")
            return result

        pipeline.measure_match = measure_match
        worker.Run(store, job, worker.Ended()).run()
        os.close(held)


def _truncate(path):
    os.truncate(path, 200_000)


def _replace(path):
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[:-2880])
    os.replace(other, path)


def _kill(path):
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {"kills": _kill, "vanishes": os.unlink, "is truncated": _truncate, "is replaced": _replace}


def _answer(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main():
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            os.waitpid(order["wait"], 0)
            _answer("ended")
            continue
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(order["home"], **order["options"])
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        _answer(pid)


main()
