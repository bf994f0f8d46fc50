"""The command ``glue-spherex jobs``: runs in the background."""

import json
import sys

from .terminal import positive


def add_jobs(commands, new_command):
    """Add the command to a parser.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` gives.
    new_command : callable(commands, name, run, text)
        Makes a command.
    """
    command = commands.add_parser(
        "jobs", help="look after runs in the background", description="Runs in the background."
    )
    actions = command.add_subparsers(metavar="ACTION", required=True)
    listing = new_command(actions, "list", _list, "list all jobs, the newest first")
    listing.add_argument("--json", action="store_true", help="a JSON array on standard output")
    show = new_command(actions, "show", _show, "show what a job does, how far it is, and what failed")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="a JSON object on standard output")
    for name, run, text in (
        ("cancel", _cancel, "stop a job; what is measured is kept"),
        ("rerun", _rerun, "measure the same once more, as a new job"),
    ):
        action = new_command(actions, name, run, text)
        action.add_argument("id", metavar="ID")
        action.add_argument("--json", action="store_true", help="the job as a JSON object on standard output")
    resume = new_command(actions, "resume", _resume, "let a job go on where it stopped; images that failed are retried")
    resume.add_argument("id", metavar="ID")
    resume.add_argument("--workers", type=positive, metavar="N", help="other number of processes from now on")
    resume.add_argument("--scheduler", metavar="ADDRESS", help="other Dask cluster from now on; '' for none")
    resume.add_argument("--json", action="store_true", help="the job as a JSON object on standard output")
    remove = new_command(actions, "remove", _remove, "delete a job with its folder; a result folder elsewhere stays")
    remove.add_argument("id", metavar="ID")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    limit = new_command(actions, "limit", _limit, "say, or choose, how many jobs run at the same time")
    limit.add_argument("number", type=positive, metavar="N", nargs="?", help="without it, the number now")


def _list(options):
    from .jobs import jobs
    from .jobs.job_state import duration_text

    known = jobs()
    if options.json:
        print(json.dumps([job.as_dict() for job in known]))
        return 0
    if not known:
        print("there are no jobs; `glue-spherex measure --background` makes one")
        return 0
    print(f"{'id':<8}  {'phase':<9}  {'images':>13}  {'left':>12}  {'submitted (UTC)':<16}  title")
    for job in known:
        print(
            f"{job.id}  {job.phase:<9}  {_images(job):>13}  {duration_text(job.seconds_left) or '-':>12}  "
            f"{_moment(job.submitted):<16}  {_short(job.title, 60)}"
        )
    return 0


def _show(options):
    from .jobs import JobError, failures, job, notes, request
    from .jobs.job_state import duration_text, one_line

    known = job(options.id)
    try:
        asked = request(options.id)[0]
        failed, told = failures(options.id), notes(options.id)
    except JobError as error:  # the folder is gone: what the store says is all there is
        asked, failed, told = None, [], []
        print(f"glue-spherex: {error}", file=sys.stderr)
    if options.json:
        request_values = asked.as_dict() if asked else None
        more = {"request": request_values, "failed_images": [list(line) for line in failed], "notes": told}
        print(json.dumps(known.as_dict() | more))
        return 0
    lines = {
        "title": _short(known.title, 200),
        "phase": f"{known.phase}: {known.message}",
        "submitted": _moment(known.submitted),
        "started": _moment(known.started),
        "resumed": _moment(known.resumed),
        "ended": _moment(known.ended),
        "sources": known.n_sources,
        "images": _images(known),
        "measurements": known.measurements,
        "failures": known.failures,
        "worked for": duration_text(known.seconds),
        "time left": duration_text(known.seconds_left) or "-",
        "folder": known.folder,
        "result": known.result,
    }
    if asked:
        origin = asked.targets if isinstance(asked.targets, str) else ", ".join(map(str, asked.targets))
        lines["targets from"] = _short(origin, 200) or "-"
        lines["images in"] = ", ".join(asked.images_in_words)
        lines["calibration"] = asked.calibration_in_words
        lines["workers"] = asked.workers
        lines["scheduler"] = asked.scheduler or "-"
        lines["settings"] = ", ".join(f"{name} {value}" for name, value in asked.settings.as_dict().items() if value)
    for name, value in lines.items():
        print(f"{name:<13} {one_line(value)}")
    for note in told:
        print(f"{'note':<13} {one_line(note)}")
    for path, reason in failed[:50]:
        print(one_line(f"failed: {path}: {reason}"))
    if len(failed) > 50:
        print(f"… and {len(failed) - 50} more; images.ecsv in the result lists all")
    return 0


def _cancel(options):
    from .jobs import cancel

    return _say(cancel(options.id), options)


def _resume(options):
    from .jobs import resume

    return _say(resume(options.id, workers=options.workers, scheduler=options.scheduler), options)


def _rerun(options):
    from .jobs import rerun

    job = rerun(options.id)
    print(json.dumps(job.as_dict()) if options.json else job.id)
    return 0


def _remove(options):
    from .jobs import job, remove

    known = job(options.id)
    if not options.yes:
        if not sys.stdin.isatty():
            raise ValueError("nothing is deleted without a question: add --yes")
        answer = input(f"Delete job {known.id} ({_short(known.title, 60)}) and {known.folder}? [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing is deleted")
            return 0
    remove(options.id)
    print(f"{known.id}: deleted")
    return 0


def _limit(options):
    from .jobs import JobStore, set_running_limit

    if options.number is not None:
        set_running_limit(options.number)
    with JobStore() as store:
        print(f"jobs that run at the same time: {store.running_limit()}")
    return 0


def _say(job, options):
    print(json.dumps(job.as_dict()) if options.json else f"{job.id}: {job.phase}, {job.message}")
    return 0


def _images(job):
    return f"{job.images_done} of {job.images_total}" if job.images_total else "-"


def _moment(moment):
    return moment.strftime("%Y-%m-%d %H:%M") if moment else "-"


def _short(text, length):
    return text if len(text) <= length else text[: length - 1] + "…"
