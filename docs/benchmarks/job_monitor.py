"""What the job monitor costs with 1,000 jobs in the store: opening, doing nothing, following a job; offscreen.

python docs/benchmarks/job_monitor.py
"""

import os
import tempfile
import time

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GLUE_TESTING", "True")

from common import describe_machine

JOBS, SECONDS = 1000, 20


def fill_store():
    """Completed jobs, and one that seems to run: its id and its lock."""
    from glue_spherex.jobs import JobStore, Phase, lock

    now = time.time()
    with JobStore() as store:
        for number in range(JOBS):
            job_id = store.new_folder()
            store.insert(job_id, f"job {number}", 3)
            last = number == JOBS - 1
            ended = {} if last else {"ended": now}
            phase = Phase.EXECUTING if last else Phase.COMPLETED
            store.update(job_id, phase=phase, started=now - 60, images_done=10, images_total=1000, **ended)
        return job_id, lock.take(store.folder(job_id))


def wait(seconds):
    """Let Qt work; the part of the time that the processor was busy."""
    from qtpy import QtCore

    loop = QtCore.QEventLoop()
    QtCore.QTimer.singleShot(round(1000 * seconds), loop.quit)
    begin, processor = time.perf_counter(), time.process_time()
    loop.exec()
    return (time.process_time() - processor) / (time.perf_counter() - begin)


def opening(session):
    """Seconds until all lines are there."""
    from qtpy import QtCore

    from glue_spherex.qt.job_monitor import job_monitor

    begin, loop = time.perf_counter(), QtCore.QEventLoop()
    monitor = job_monitor(session)
    monitor.model.modelReset.connect(loop.quit)
    loop.exec()
    return time.perf_counter() - begin


def main():
    describe_machine()
    with tempfile.TemporaryDirectory() as home:
        os.environ["GLUE_SPHEREX_HOME"] = home
        measure_in(home)


def measure_in(home):
    from glue.main import load_plugins
    from glue_qt.app import GlueApplication
    from qtpy import QtCore

    from glue_spherex.jobs import JobStore

    job_id, held = fill_store()
    load_plugins()
    window = GlueApplication()
    window.start(block=False, maximized=False)
    window.resize(1400, 900)
    wait(2)
    seconds = opening(window.session)
    print(f"open with {JOBS} jobs, all lines there (s)                {seconds:8.3f}   goal 0.5")
    wait(2)
    print(f"processor while nothing happens (%)                     {100 * wait(SECONDS):8.2f}   goal 1")
    with JobStore() as store:
        timer = QtCore.QTimer(interval=500)
        timer.timeout.connect(lambda: store.update(job_id, images_done=int(time.monotonic()) % 1000))
        timer.start()
        print(f"processor while a job reports twice a second (%)        {100 * wait(SECONDS):8.2f}")
        timer.stop()
    window.close()
    os.close(held)


if __name__ == "__main__":
    main()
