"""Where images are measured: in this process, in several, or on a Dask cluster."""

import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager

from .._version import __version__
from .errors import JobError

#: Seconds to wait for a scheduler to answer, and for its first worker.
PATIENCE_SECONDS = 30
_LOG = logging.getLogger(__name__)


@contextmanager
def executor_of(workers=1, scheduler=None):
    """What measures images.

    Parameters
    ----------
    workers : int
        Processes on this machine; 1 is this process.
    scheduler : str, optional
        Address of the scheduler of a Dask cluster, which takes the place of processes, as ``tcp://host:8786``.

    Yields
    ------
    concurrent.futures.Executor or None

    Raises
    ------
    JobError
        If the cluster cannot be used.
    """
    if scheduler:
        with _cluster(scheduler) as executor:
            yield executor
    elif workers == 1:
        yield None
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["glue_spherex.photometry.pipeline"])  # imported once for all workers
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_process) as pool:
            yield pool


def _begin_process():
    """Leave Ctrl-C to the parent, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent):
    parent.join()
    os._exit(1)


@contextmanager
def _cluster(address):
    try:
        from distributed import Client
    except ImportError:
        raise JobError(
            'a Dask cluster needs the package distributed, which is not installed: pip install "glue-spherex[dask]".'
        ) from None
    try:
        client = Client(address, timeout=PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise JobError(
            f"the Dask scheduler at {address!r} cannot be reached ({error or type(error).__name__}); is it running, "
            "and is the address right? It looks like tcp://host:8786."
        ) from error
    with client:
        _check_workers(client, address)
        yield DaskExecutor(client)


def _check_workers(client, address):
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except TimeoutError:
        raise JobError(
            f"the Dask scheduler at {address!r} has no worker, and none came within {PATIENCE_SECONDS} s; start some "
            f"with `dask worker {address} --nthreads 1`."
        ) from None
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


def call_checked(version, function, *arguments):
    """Call a function on a worker, which may have joined the cluster late, if it has the same program."""
    if version != __version__:
        raise JobError(
            f"a worker of the Dask cluster has glue-spherex {__version__}, this program is version {version}; install "
            "the same version everywhere."
        )
    return function(*arguments)


class DaskExecutor(Executor):
    """A Dask cluster as an executor.

    The cluster itself repeats what a lost worker was at; what ends in the loss of several workers, or of the cluster,
    is a `BrokenExecutor`.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client):
        self._client = client

    @property
    def _max_workers(self):
        return max(1, sum(self._client.nthreads().values()))

    def submit(self, function, /, *arguments):
        """Run a function on the cluster.

        Returns
        -------
        concurrent.futures.Future
        """
        result = Future()
        try:
            remote = self._client.submit(call_checked, __version__, function, *arguments, pure=False)
        except (OSError, RuntimeError) as error:
            raise BrokenExecutor(f"the Dask cluster is lost ({error})") from error
        result.remote = remote  # the cluster forgets what nobody holds
        remote.add_done_callback(lambda remote: _hand_over(remote, result))
        return result


def _hand_over(remote, result):
    """Give the outcome on the cluster to the one who waits here."""
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    if not result.set_running_or_notify_cancel():
        return
    try:
        value = remote.result()
    except (KilledWorker, CommClosedError, CancelledError, TimeoutError) as error:
        _LOG.warning("the Dask cluster lost a task: %s", error)
        result.set_exception(BrokenExecutor(f"the Dask cluster lost a task ({error})"))
    except Exception as error:  # noqa: BLE001 - whoever asked for it must learn what failed
        result.set_exception(error)
    else:
        result.set_result(value)
    finally:
        result.remote = None
