import numpy as np
import pytest
from astropy.table import Table

from glue_spherex.io import SpectrumFileError, TargetListError, read_spectra, read_targets
from glue_spherex.io.columns import listed


@pytest.mark.parametrize("n", [1, 20, 200])
def test_lists_of_columns_end_with_a_whole_name(n):
    names = [f"a_long_name_{k}" for k in range(n)]
    text = listed(names)
    shown, _, rest = text.partition(" and ")
    assert shown.split(", ") == names[: shown.count(",") + 1]
    assert rest == ("" if n < 200 else f"{n - shown.count(',') - 1} more")
    assert len(shown) <= 400


def test_one_very_long_name():
    text = listed(["x" * 1000, "y"])
    assert text == f"{'x' * 40}…{'x' * 39}, y"


@pytest.mark.parametrize(("read", "error"), [(read_spectra, SpectrumFileError), (read_targets, TargetListError)])
def test_messages_end_properly(tmp_path, read, error):
    path = tmp_path / "other.csv"
    Table({f"some_column_{k}": np.arange(2.0) for k in range(70)}).write(path, format="ascii.csv")
    with pytest.raises(error, match=r"columns are some_column_0, .*some_column_\d+ and \d+ more\."):
        read(path)
