"""A table on its way to a file: the writers of all formats take it piece by piece, so that they can be stopped."""

#: Rows of a piece at most: some tenths of a second in the slowest format.
MOST_ROWS = 5000


class Pieces:
    """The rows of a table that is written; they can be had once.

    Parameters
    ----------
    tables : iterable of FileTable
        With the same columns.
    head : FileTable
        Like the tables, with every text, every source number and every missing value of theirs in it.
    n_rows : int
        Of all tables.
    step : callable(), optional
        Called before each piece; what it raises ends the writing.

    Attributes
    ----------
    head, n_rows, step
    """

    def __init__(self, tables, head, n_rows, step=None):
        self._tables, self.head, self.n_rows = tables, head, n_rows
        self.step = step or (lambda: None)

    @classmethod
    def of(cls, table, step=None):
        """A single table.

        Parameters
        ----------
        table : FileTable
        step : callable(), optional
        """
        return cls([table], table, table.n_rows, step)

    def __iter__(self):
        """Yield tables of `MOST_ROWS` rows at most."""
        for table in self._tables:
            for begin in range(0, table.n_rows, MOST_ROWS):
                self.step()
                yield table if table.n_rows <= MOST_ROWS else table.rows(begin, begin + MOST_ROWS)
