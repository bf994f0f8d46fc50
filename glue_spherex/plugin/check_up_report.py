"""The report of a check-up, as text or as an HTML page."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from .._version import __version__
from ..io.files import replacing

_HTML_EXTENSIONS = {".html", ".htm"}
_COLOURS = {"good": "#1b7f3b", "note": "#1f5fa8", "warn": "#9a6700", "bad": "#b00020"}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; }}
table {{ border-collapse: collapse; width: 100%; }}
td, th {{ text-align: left; vertical-align: top; padding: 0.35em 0.8em 0.35em 0; border-bottom: 1px solid #ddd; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{about}</p>
<table>
<tr><th>Verdict</th><th>On</th><th>Finding</th></tr>
{lines}
</table>
</body>
</html>
"""


class ReportError(ValueError):
    """A report that cannot be written."""


def report_text(findings, *, data_label="", source_label=""):
    """The report as plain text.

    Parameters
    ----------
    findings : list of Finding
    data_label, source_label : str, optional
        What was judged.

    Returns
    -------
    str
        A title, a line with date and version, and a line per finding.
    """
    title = _title(data_label, source_label)
    width = max((len(finding.title) for finding in findings), default=0)
    lines = [f"{finding.word:<7}  {finding.title:<{width}}  {finding.text}" for finding in findings]
    return "\n".join([title, "=" * len(title), _about(), "", *lines]) + "\n"


def report_html(findings, *, data_label="", source_label=""):
    """The report as a page of HTML; parameters as `report_text`. Names from the data are escaped."""
    lines = "\n".join(
        f'<tr><td style="color: {_COLOURS[finding.level]}"><b>{finding.word}</b></td>'
        f"<td>{escape(finding.title)}</td><td>{escape(finding.text)}</td></tr>"
        for finding in findings
    )
    return _PAGE.format(title=escape(_title(data_label, source_label)), about=escape(_about()), lines=lines)


def write_report(findings, path, *, data_label="", source_label=""):
    """Save the report of a check-up.

    Parameters
    ----------
    findings : list of Finding
    path : path-like
        With the extension ``.html`` or ``.htm`` an HTML page, else text, in UTF-8. An existing file is replaced as a
        whole, or stays as it is.
    data_label, source_label : str, optional
        What was judged.

    Returns
    -------
    Path

    Raises
    ------
    ReportError
        If the file cannot be written, naming it and the reason.
    """
    path = Path(path)
    make = report_html if path.suffix.lower() in _HTML_EXTENSIONS else report_text
    text = make(findings, data_label=data_label, source_label=source_label)
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ReportError(f"The report cannot be written to {str(path)!r}: {reason}. Choose another place.") from error
    return path


def _title(data_label, source_label):
    names = [name for name in (source_label, data_label) if name]
    return " of ".join(["Check-up", ", ".join(names)]) if names else "Check-up"


def _about():
    return f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by glue-spherex {__version__}."
