"""IRSA's spectrophotometry jobs on this computer: what the Universal Worker Service (IVOA UWS 1.1) tells of them."""

from html import escape

from glue_spherex.images.simulation.archive_server import Answer

JOBS = "/api/spherex/spectrophotometry/async"


class JobService:
    """Jobs of `LoopbackArchive`, each with a description and results."""

    def __init__(self, archive):
        self.archive = archive

    def add(self, job, content=None, phase="COMPLETED", href=None, result="result", **texts):
        """Offer a job; returns its address.

        Parameters
        ----------
        job : str
        content : bytes, optional
            Of the result; none is listed without it, and without `href`.
        phase : str
        href : str, optional
            Address of the result, if it is not the usual one.
        result : str
        **texts
            ``message``: of an error. ``description``: all of it.
        """
        base, path = self.archive.url + JOBS, f"{JOBS}/{job}"
        listed = content is not None or href is not None
        href = f"{base}/{job}/results/{result}" if href is None else href
        text = texts.get("description") or description(job, phase, {result: href} if listed else {}, **texts)
        self.archive.services[path] = lambda question: answer(text.encode(), "application/xml")
        if content is not None:
            self.archive.services[f"{path}/results/{result}"] = lambda question: answer(content)
        return f"{base}/{job}"


def answer(body, kind="application/x-votable+xml"):
    return Answer(body, headers={"Content-Type": kind})


def description(job, phase, results, message=""):
    """A job as the standard has it."""
    listed = "".join(
        f'<uws:result id="{name}" xlink:type="simple" xlink:href="{escape(href)}" '
        'mime-type="application/x-votable+xml"/>'
        for name, href in results.items()
    )
    summary = (
        f'<uws:errorSummary type="fatal" hasDetail="false"><uws:message>{message}</uws:message></uws:errorSummary>'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<uws:job xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1">'
        f'<uws:jobId>{job}</uws:jobId><uws:ownerId xsi:nil="true"/><uws:phase>{phase}</uws:phase>'
        "<uws:quote>2026-11-20T12:00:00.000Z</uws:quote><uws:creationTime>2026-11-20T10:00:00.000Z</uws:creationTime>"
        '<uws:startTime>2026-11-20T10:00:05.000Z</uws:startTime><uws:endTime xsi:nil="true"/>'
        "<uws:executionDuration>0</uws:executionDuration><uws:destruction>2026-12-04T10:00:00.000Z</uws:destruction>"
        '<uws:parameters><uws:parameter id="pos">150.1;2.2;EQ_J2000</uws:parameter></uws:parameters>'
        f"<uws:results>{listed}</uws:results>{summary if message else ''}</uws:job>\n"
    )


FIELDS = (
    ("source_id", "int", "", ""), ("label", "char", "*", ""), ("ra", "double", "", "deg"),
    ("dec", "double", "", "deg"), ("n_meas", "int", "", ""), ("lambda", "double", "*", "um"),
    ("flux", "double", "*", "uJy"), ("flux_err", "double", "*", "uJy"), ("flags", "long", "*", ""),
    ("det_id", "short", "*", ""), ("lvf_id", "long", "*", ""),
)  # fmt: skip


def spectra(n_sources=2, n_points=5):
    """A result as IRSA writes it: a row per source, with arrays."""
    rows = ""
    for k in range(n_sources):
        points = range(n_points)
        cells = (
            k + 1, f"star {k + 1}", 150 + 0.01 * k, 2.2, n_points, [0.8 + 0.1 * i for i in points],
            [100.0 * (k + 1) + i for i in points], [3.0] * n_points, [0] * n_points, [1] * n_points,
            [202551101068401 + 10 * i for i in points],
        )  # fmt: skip
        texts = (" ".join(map(str, cell)) if isinstance(cell, list) else str(cell) for cell in cells)
        rows += f"<TR>{''.join(f'<TD>{text}</TD>' for text in texts)}</TR>"
    fields = "".join(
        f'<FIELD ID="f_{name}" name="{name}" datatype="{kind}" unit="{unit}"'
        f"{f' arraysize={chr(34)}{size}{chr(34)}' if size else ''}/>"
        for name, kind, size, unit in FIELDS
    )
    arrays = "".join(f'<FIELDref ref="f_{name}"/>' for name, _, size, _ in FIELDS if size and name != "label")
    return (
        '<?xml version="1.0"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        '<RESOURCE type="results" utype="ipac:MultiSpectrum"><TABLE utype="ipac:MultiSpectrum">'
        f'<GROUP utype="ipac:Spectrum.ArrayData">{arrays}</GROUP>{fields}'
        f"<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    ).encode()
