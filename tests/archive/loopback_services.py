"""The search services, with the ways of answering that the archive has shown."""

import math
from dataclasses import dataclass

from loopback import Answer

from glue_spherex.images.simulation import archive_services
from glue_spherex.images.simulation.archive_services import COLUMNS, row

__all__ = ["COLUMNS", "SearchServices", "csv_table", "row"]


@dataclass
class SearchServices(archive_services.SearchServices):
    """The services of the package, and two quirks of SIA2.

    Attributes
    ----------
    csv : bool
        Whether SIA2 answers with CSV, whatever was asked for; its JSON is not quoted.
    knows_until : float, d
        MJD of the begin of the first image that SIA2 does not know yet.
    """

    csv: bool = False
    knows_until: float = math.inf

    def answer(self, rows, cut):
        rows = [row for row in rows if row["t_min"] < self.knows_until]
        if self.csv:
            return Answer(csv_table(rows), headers={"Content-Type": "text/csv"})
        return super().answer(rows, cut)


def csv_table(rows):
    """CSV as the archive writes it: the JSON is not quoted."""
    lines = [",".join(COLUMNS), *(",".join(str(values[name]) for name in COLUMNS) for values in rows)]
    return "\n".join(lines).encode() + b"\n"
