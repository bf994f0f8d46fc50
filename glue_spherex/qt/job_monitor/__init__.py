"""The job monitor: the jobs of the user in a part of glue's window."""

from .dock import JobMonitor, job_monitor
from .window_jobs import WindowJobs, follow_job

__all__ = ["JobMonitor", "WindowJobs", "follow_job", "job_monitor"]
