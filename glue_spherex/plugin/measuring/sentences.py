"""Errors as sentences of a dialog."""


def sentence_of(error):
    """What an exception or a text says, with a capital letter.

    Parameters
    ----------
    error : Exception or str

    Returns
    -------
    str
    """
    text = str(error) or type(error).__name__
    return text[0].upper() + text[1:]
