"""Everything about a job: what it was asked to do, what failed, what it said, and how long it took."""

from typing import NamedTuple

from ... import jobs as desk
from ...jobs.job_state import RESULTS_NAME, Phase, one_line
from ...photometry.output import SETTINGS_NAME
from . import texts

#: Lines of the lists that are shown.
MOST_SOURCES, MOST_FAILURES, MOST_SLOW = 200, 1000, 20
#: Letters of the title.
MOST_TITLE = 1000
#: Lines and letters at the end of the log that are shown.
MOST_LOG_LINES, MOST_LOG_LETTERS = 2000, 200_000


class Details(NamedTuple):
    """About a job; all are plain texts.

    ``parameters``, ``failures``, ``timings``: lists of (name, value); ``n_failures``: how many there are; ``log``: its
    end; ``problem``: why something cannot be shown, '' if all is.
    """

    parameters: list
    failures: list
    n_failures: int
    log: str
    timings: list
    problem: str = ""


def details_of(job_id):
    """Read everything about a job; it takes as long as its files are large.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    Details

    Raises
    ------
    JobError
        If there is no such job.
    """
    from ...photometry.errors import PhotometryError
    from ...photometry.result_store import ResultStore

    job = desk.job(job_id)
    parameters, images, failures, problems = _of_job(job), [], [], []
    try:
        parameters += _of_request(*desk.request(job_id))
        failures = desk.failures(job_id)
        with ResultStore(job.folder / RESULTS_NAME, reader=True) as results:
            images = results.about()
    except (desk.JobError, PhotometryError, OSError) as error:
        problems.append(f"{str(error)[:1].upper()}{str(error)[1:]}")
    shown = [(one_line(path), one_line(reason)) for path, reason in failures[:MOST_FAILURES]]
    return Details(
        parameters, shown, len(failures), log_end(desk.log(job_id)), _timings(job, images), " ".join(problems)
    )


def log_end(log):
    """The end of a log, cut at the beginning of a line where it is too long.

    Parameters
    ----------
    log : str

    Returns
    -------
    str
        Without control characters.
    """
    kept = log[-MOST_LOG_LETTERS:]
    lines = (kept.partition("\n")[2] if len(kept) < len(log) else kept).splitlines()
    cut = len(kept) < len(log) or len(lines) > MOST_LOG_LINES
    shown = ["".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line)
             for line in lines[-MOST_LOG_LINES:]]  # fmt: skip
    return "\n".join([*(["… (the beginning is in the file log.txt in the job's folder)"] if cut else []), *shown])


def _of_job(job):
    look = texts.phase_look(job)
    return [
        ("Title", texts.short(job.title, MOST_TITLE)),
        ("Phase", f"{look.word} ({job.phase})"),
        ("Message", job.message),
        ("Type", texts.kind_text(job)),
        ("Id", job.id),
        ("Folder of the job", str(job.folder)),
        ("Result", _result_text(job)),
        ("Sources", str(job.n_sources)),
        ("Images", texts.progress_of(job)[1] or "not yet found"),
        ("Measurements", str(job.measurements)),
        ("Failed images", str(job.failures)),
        *[("Note", one_line(note)) for note in desk.notes(job.id)],
    ]


def _result_text(job):
    if job.phase is Phase.COMPLETED:
        return str(job.result)
    there = (job.result / SETTINGS_NAME).exists()
    return f"{job.result} ({'with what is measured so far' if there else 'once it is completed'})"


def _of_request(request, targets):
    origin = request.targets if isinstance(request.targets, str) else ", ".join(map(str, request.targets))
    rows = [
        *([("Targets from", one_line(origin))] if origin else []),
        ("Rejected targets", str(len(targets.rejected))),
        ("Images in", "\n".join(map(one_line, request.images_in_words))),
        ("Calibration", one_line(request.calibration_in_words)),
        ("Flux correction to QR3", "yes" if request.flux_correction else "no"),
        ("Processes", str(request.workers)),
        ("Dask cluster", one_line(request.scheduler or "none")),
        ("Format of the spectra", request.spectrum_format),
    ]
    rows += [(f"Setting {name}", one_line(_plain(value))) for name, value in request.settings.as_dict().items()]
    for source in targets.sources[:MOST_SOURCES]:
        rows.append((f"Source {one_line(texts.short(source.label, 60))}".strip(), _source_text(source)))
    if len(targets.sources) > MOST_SOURCES:
        rows.append(("Source", f"… and {len(targets.sources) - MOST_SOURCES} more"))
    return rows + [(f"Rejected row {line.row + 1}", one_line(line.reason)) for line in targets.rejected[:MOST_SOURCES]]


def _plain(value):
    if value is None:
        return "not set"
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


def _source_text(source):
    text = f"{source.ra:.6f} {source.dec:+.6f}"
    if source.profile is not None:
        p = source.profile
        text += f", Sérsic n {p.n:g}, r_eff {p.r_eff:g}″, axis ratio {p.axis_ratio:g}, angle {p.position_angle:g}°"
    if source.pmra or source.pmdec:
        text += f", proper motion {source.pmra:g}, {source.pmdec:g} mas/yr from {source.ref_epoch:g}"
    return text


def _timings(job, images):
    rows = [
        ("Submitted", texts.exact_moment_text(job.submitted)),
        ("Started", texts.exact_moment_text(job.started)),
        ("Resumed", texts.exact_moment_text(job.resumed)),
        ("Ended", texts.exact_moment_text(job.ended)),
        ("Worked for", texts.duration_text(job.seconds) if job.seconds else ""),
        ("Speed", f"{job.rate:.3g} images per second" if job.rate else ""),
        ("Time left", texts.left_text(job)),
    ]
    times = sorted(((float(line.get("seconds") or 0), line.get("path", "")) for line in images), reverse=True)
    if times:
        rows.append(("Sum over images", f"{sum(seconds for seconds, _ in times):.1f} s"))
        rows.append(("Middle image", f"{times[len(times) // 2][0]:.3f} s"))
        rows += [("Slowest images" if not k else "", f"{seconds:.3f} s  {one_line(path)}")
                 for k, (seconds, path) in enumerate(times[:MOST_SLOW])]  # fmt: skip
    return [(name, value) for name, value in rows if value]
