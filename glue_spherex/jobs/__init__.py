"""Long runs: jobs that go on when the program that started them has ended."""

from importlib import import_module

_HOME = {
    "Job": "job_state",
    "JobError": "errors",
    "JobStore": "store",
    "JobWatch": "fetch",
    "Phase": "job_state",
    "Request": "request_files",
    "cancel": "desk",
    "check_result_folder": "submission",
    "default_title": "titles",
    "executor_of": "executors",
    "expected_seconds": "record",
    "failures": "fetch",
    "fetch_irsa_job": "irsa_job",
    "irsa_jobs_folder": "irsa_job",
    "job": "desk",
    "jobs": "desk",
    "log": "fetch",
    "notes": "fetch",
    "partial_spectra": "fetch",
    "remember_run": "record",
    "remove": "desk",
    "request": "fetch",
    "rerun": "desk",
    "result_folder": "fetch",
    "resume": "desk",
    "set_running_limit": "desk",
    "submit": "submission",
    "submit_request": "submission",
    "wait": "desk",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
