"""Where images are measured: in this process, in several, or on a Dask cluster."""

import logging
import socket
import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import contextmanager, suppress

from .._version import __version__
from ..extras import how_to_install
from ..photometry.errors import LostProcessError
from .errors import JobError
from .job_state import one_line
from .processes import Processes

#: Seconds to wait for a scheduler to answer, and for its first worker.
PATIENCE_SECONDS = 30
#: Seconds between two messages while workers are waited for, and between two lines of the log.
_TELL_SECONDS, _LOG_SECONDS = 1.0, 10.0
#: How often something is sent to another worker because one has no use for it.
_TRIES = 5
#: Seconds between two looks whether the workers that can be used are still there.
_WATCH_SECONDS = 5
#: Seconds without any worker after which the rest is measured here.
_NO_WORKER_SECONDS = 60
_LOG = logging.getLogger(__name__)


@contextmanager
def executor_of(workers=1, scheduler=None, waiting=None):
    """What measures images.

    Parameters
    ----------
    workers : int
        Processes on this machine; 1 is this process.
    scheduler : str, optional
        Address of the scheduler of a Dask cluster, which takes the place of processes, as ``tcp://host:8786``.
    waiting : callable(str), optional
        Told every second for what is waited, as long as the cluster has no worker; what it raises ends that. By default
        the log says it.

    Yields
    ------
    concurrent.futures.Executor or None

    Raises
    ------
    JobError
        If the cluster cannot be used.
    """
    if scheduler:
        with _cluster(scheduler, waiting or _log_now_and_then()) as executor:
            yield executor
    elif workers == 1:
        yield None
    else:
        with Processes(workers) as processes:
            yield processes


@contextmanager
def _cluster(address, waiting):
    try:
        from distributed import Client
    except ImportError:
        raise JobError(f"a Dask cluster needs distributed, not installed here: {how_to_install('dask')}.") from None
    try:
        _knock(address)
        client = Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise JobError(
            f"the Dask scheduler at {address!r} cannot be reached ({error or type(error).__name__}); is it running, "
            "and is the address right? It looks like tcp://host:8786."
        ) from error
    with client:
        _wait_for_a_worker(client, address, waiting)
        _check_workers(client, address)
        executor = DaskExecutor(client)
        try:
            yield executor
        finally:
            executor.shutdown()


def _knock(address):
    """Reach the scheduler before a client is made: one that fails to connect lives on for a minute, and complains."""
    from distributed.comm.addressing import get_address_host_port

    socket.create_connection(get_address_host_port(address), timeout=PATIENCE_SECONDS).close()


def _log_now_and_then():
    """What says in the log for what is waited: at once, then every ten seconds."""
    said = -_LOG_SECONDS

    def waiting(text):
        nonlocal said
        if time.monotonic() - said >= _LOG_SECONDS:
            said = time.monotonic()
            _LOG.warning("%s", text)

    return waiting


def _wait_for_a_worker(client, address, waiting):
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return client.wait_for_workers(1, timeout=_TELL_SECONDS)
        except TimeoutError:
            left = end - time.monotonic()
        if left <= 0:
            raise JobError(
                f"the Dask scheduler at {address!r} has no worker, and none came within {PATIENCE_SECONDS} s; start "
                f"some with `dask worker {address} --nthreads 1`."
            )
        waiting(f"waiting for workers of the Dask scheduler at {address}, {left:.0f} s left")


def _check_workers(client, address):
    answers = client.run(installed_version, on_error="return")
    wrong = {name: answer for name, answer in answers.items() if answer != __version__}
    if wrong:
        name, answer = next(iter(wrong.items()))
        has = f"glue-spherex {answer}" if isinstance(answer, str) else f"no usable glue-spherex ({answer})"
        raise JobError(
            f"{len(wrong)} of {len(answers)} workers of the Dask cluster at {address!r} differ from this program, "
            f"version {__version__}: {name} has {has}. Install the same version everywhere."
        )


def installed_version():
    """The version of glue-spherex where this is called: on a worker of a cluster."""
    return __version__


class OtherVersionError(JobError):
    """A worker has another version of this program."""


def call_checked(version, function, *arguments):
    """Call a function on a worker, which may have joined the cluster late, if it has the same program."""
    if version != __version__:
        raise OtherVersionError(
            f"a worker of the Dask cluster has glue-spherex {__version__}, this program is version {version}; install "
            "the same version everywhere."
        )
    return function(*arguments)


class DaskExecutor(Executor):
    """A Dask cluster as an executor.

    The cluster itself repeats what a lost worker was at; what ends several workers is a `LostProcessError`, what is
    lost with the cluster a `BrokenExecutor`. A worker that joins late with another version of this program, or without
    it, is not used.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client):
        self._client = client
        self._good = None  # addresses of the workers that may be used, once there are others
        self._sent = {}  # what the cluster is at; whoever takes an entry out answers for its result
        self._threads = client.nthreads()  # by worker, as of the last look
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def _max_workers(self):
        good = self._good
        return max(1, sum(n for name, n in self._threads.items() if good is None or name in good))

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Watch the cluster no more; the client is closed by whoever has opened it."""
        self._closed.set()

    def submit(self, function, /, *arguments):
        """Run a function on the cluster.

        Returns
        -------
        concurrent.futures.Future
        """
        result = Future()
        try:
            self._send(result, function, arguments, _TRIES)
        except (OSError, RuntimeError) as error:
            raise BrokenExecutor(f"the Dask cluster is lost ({error})") from error
        return result

    def _send(self, result, function, arguments, tries):
        good = self._good
        remote = self._client.submit(call_checked, __version__, function, *arguments, pure=False, workers=good)
        self._sent[remote] = result, good  # the cluster forgets what nobody holds

        def finished(remote):
            """Hand over what a worker has given; what it could not understand is sent to another one."""
            if self._sent.pop(remote, None) is None:
                return
            if tries and remote.status == "error" and isinstance(remote.exception(), _NO_USE):
                with suppress(OSError, RuntimeError):
                    if good != self._good or self._find_good():
                        self._send(result, function, arguments, tries - 1)
                        return
            _hand_over(remote, result)

        remote.add_done_callback(finished)

    def _find_good(self):
        """Ask the workers for their versions; whether any has that of this program."""
        answers = self._client.run(installed_version, on_error="return")
        good = sorted(name for name, answer in answers.items() if answer == __version__)
        if good != self._good and len(good) < len(answers):
            _LOG.warning("%d of %d workers of the Dask cluster have another version of glue-spherex and are not used",
                         len(answers) - len(good), len(answers))  # fmt: skip
        self._good = good
        return bool(good)

    def _watch(self):
        known, seen = set(), time.monotonic()
        while not self._closed.wait(_WATCH_SECONDS):
            with suppress(OSError, RuntimeError, AttributeError):  # the client is being closed
                closed = self._client.status in ("closing", "closed")
                self._threads = {} if closed else self._client.nthreads()
                there = set(self._threads)
                if there:
                    if self._good is not None and there - known:
                        self._find_good()  # some have joined
                    known, seen = there, time.monotonic()
                self._give_up_lost(there or known, closed or time.monotonic() - seen > _NO_WORKER_SECONDS)

    def _give_up_lost(self, there, all_lost):
        """Give up what waits for workers, or a cluster, that are gone: it would wait for ever."""
        for remote, (result, good) in list(self._sent.items()):
            lost = all_lost or (good is not None and not there.intersection(good))
            if (lost or remote.status in ("cancelled", "lost")) and self._sent.pop(remote, None):
                remote.cancel()
                _fail(result, BrokenExecutor("the Dask cluster lost a task (its workers are gone)"))


#: What a worker raises that has another version of this program, or none.
_NO_USE = (OtherVersionError, ImportError, AttributeError)


def _hand_over(remote, result):
    """Give the outcome on the cluster to the one who waits here."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        value = remote.result()
    except KilledWorker as error:
        n = error.allowed_failures + 1
        _fail(result, LostProcessError(f"{n} workers of the Dask cluster ended unexpectedly one after the other"))
    except (*_NO_USE, CommClosedError, CancelledError, TimeoutError) as error:
        _fail(result, BrokenExecutor(f"the Dask cluster lost a task ({one_line(error)})"))
    except Exception as error:  # noqa: BLE001 - whoever asked for it must learn what failed
        _fail(result, error)
    else:
        if result.set_running_or_notify_cancel():
            result.set_result(value)


def _fail(result, error):
    if result.set_running_or_notify_cancel():
        result.set_exception(error)
