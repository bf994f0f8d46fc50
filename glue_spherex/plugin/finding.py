"""One line of a check-up."""

from dataclasses import dataclass

import numpy as np

#: How serious a line is, and the word for it.
LEVELS = {"good": "OK", "note": "Note", "warn": "Check", "bad": "Problem"}

#: What each line is about, in one or two words.
TITLES = {
    "points": "Points",
    "position": "Position",
    "neighbours": "Neighbours",
    "background_pixels": "Background box",
    "flags": "Flags",
    "fit_error": "Failed fits",
    "bad_pixels": "Bad pixels",
    "dichroic": "Dichroic",
    "fit_quality": "Fit quality",
    "background": "Background",
    "background_jumps": "Jumps",
    "detectors": "Detectors",
    "channels": "Channels",
    "dates": "Dates",
    "apart": "Stand-out points",
}


@dataclass(frozen=True, eq=False)
class Finding:
    """What was found about a spectrum in one respect.

    Attributes
    ----------
    key : str
        What was looked at: ``position``, ``neighbours``, ``fit_quality``…
    level : {"good", "note", "warn", "bad"}
    text : str
        One line in plain words, with its figure.
    rows : ndarray of int, shape (n,), or None
        Rows of the dataset that it concerns; None where it concerns no rows in particular.
    worst_row : int or None
        The row to look at first.
    flag_mask : int
        If the rows are those with certain flags, the bits; else 0.
    mode : {"any", "all", "none"}
        How many of them.
    """

    key: str
    level: str
    text: str
    rows: np.ndarray | None = None
    worst_row: int | None = None
    flag_mask: int = 0
    mode: str = "any"

    @property
    def title(self):
        """What the line is about."""
        return TITLES.get(self.key, self.key)

    @property
    def word(self):
        """The level as a word."""
        return LEVELS[self.level]


def share(count, total):
    """``3 of 120 (2 %)``."""
    return f"{count} of {total}" + (f" ({_percent(count / total)})" if total else "")


def _percent(fraction):
    percent = 100 * fraction
    return f"{percent:.1f} %" if 0 < percent < 1 else f"{percent:.0f} %"
