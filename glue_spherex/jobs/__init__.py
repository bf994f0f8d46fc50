"""Long runs: jobs that go on when the program that started them has ended."""

from importlib import import_module

_HOME = {
    "Job": "job_state",
    "JobError": "errors",
    "JobStore": "store",
    "JobWatch": "desk",
    "Phase": "job_state",
    "Request": "request_files",
    "cancel": "desk",
    "executor_of": "executors",
    "failures": "desk",
    "job": "desk",
    "jobs": "desk",
    "log": "desk",
    "partial_spectra": "desk",
    "remove": "desk",
    "request": "desk",
    "rerun": "desk",
    "result_folder": "desk",
    "resume": "desk",
    "set_running_limit": "desk",
    "submit": "desk",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
