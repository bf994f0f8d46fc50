"""What the viewer shows and what it does not, in a line and in sentences."""

import numpy as np


def summary(artists, limits):
    """Count what is drawn.

    Parameters
    ----------
    artists : list of SpectrumDataArtist or SpectrumSubsetArtist
        The datasets, and subsets whose dataset is not among them.
    limits : (float, float, float, float)
        Of the axes: x from, x to, y from, y to.

    Returns
    -------
    line : str
        ``"660 points of 3 sources shown; 12 flagged"``.
    notes : list of str
        What is not drawn and why; what the user has to do something about comes first.
    """
    points = flagged = sources = 0
    problems, notes = [], []
    for artist in artists:
        if not artist.enabled or artist.shown is None:
            problems.append(artist.problem)
        elif artist.state.visible:
            rows = artist.rows
            points += rows.size
            flagged += int(artist.shown.flagged[rows].sum())
            sources += len(np.unique(artist.shown.sources.code[rows]))
            prefix = f"{artist.layer.label}: " if len(artists) > 1 else ""
            notes += [prefix + note for note in artist.notes]
            notes += [prefix + note for note in _outside(artist, limits)]
            if artist.state.sources == []:
                notes.append(f"No source of {artist.layer.label!r} is ticked (tab Sources of the options).")
        else:
            notes.append(f"{artist.layer.label!r} is switched off in the list of layers.")
    line = f"{points:,} point{'' if points == 1 else 's'} of {sources} source{'' if sources == 1 else 's'} shown"
    return (f"{line}; {flagged:,} flagged" if flagged else line), [note for note in [*problems, *notes] if note]


def _outside(artist, limits):
    x_from, x_to, y_from, y_to = limits
    if None in limits or not artist.rows.size:
        return []
    x, y = artist.shown.x[artist.rows], artist.shown.y[artist.rows]
    inside = (x >= min(x_from, x_to)) & (x <= max(x_from, x_to)) & (y >= min(y_from, y_to)) & (y <= max(y_from, y_to))
    n = int(inside.size - np.count_nonzero(inside))
    return [f"{n:,} point{' lies' if n == 1 else 's lie'} outside the axes."] if n else []
