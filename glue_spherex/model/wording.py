"""Words of sentences that are said in many places."""


def counted(number, noun):
    """A number with its noun: ``1 image``, ``2 images``.

    Parameters
    ----------
    number : int
    noun : str
        In the singular; its plural ends in s.

    Returns
    -------
    str
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
