"""Optional parts of the program, as ``pyproject.toml`` lists them."""


def how_to_install(part):
    """What to do where an optional part is missing, for the end of a sentence.

    The program is installed from its source: no package index has it.

    Parameters
    ----------
    part : str
        As ``"archive"``.

    Returns
    -------
    str
    """
    return f'run python -m pip install ".[{part}]" in the source folder of glue-spherex'
