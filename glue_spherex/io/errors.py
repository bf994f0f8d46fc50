"""What can be wrong with a file."""


class TableFileError(ValueError):
    """A file that cannot be read or written as a table; says why, without the file's name."""


class SpectrumFileError(ValueError):
    """A spectrum file that cannot be read or written; names the file and the reason."""


class TargetListError(ValueError):
    """A target list, or a single target, that cannot be understood."""


class MissingColumnsError(TargetListError):
    """A table without the columns of a position.

    Parameters
    ----------
    sentence : str
    columns : tuple of str
        Columns among which those of the position may be; empty if it does not look like a table at all.
    """

    def __init__(self, sentence, columns=()):
        super().__init__(sentence)
        self.columns = columns


#: What parsers raise when they meet nonsense; each is turned into one sentence that names the file.
PARSER_ERRORS = (
    TableFileError,
    ValueError,  # UnicodeError and expat's errors are not all of this kind
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    OSError,
    RecursionError,
    NotImplementedError,
    MemoryError,
)


_LONGEST = 600  #: characters of a reason


def reason(error):
    """One line that says what an exception means."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "its elements are nested too deeply"
    text = " ".join(str(error).split())
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST].rpartition(' ')[0] or text[:_LONGEST]} …"
    return text or type(error).__name__
