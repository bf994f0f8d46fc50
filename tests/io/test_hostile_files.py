"""Files that are broken or mean harm end in one clear error, in little memory, and do not take for ever."""

import base64
import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.io import SpectrumFileError, TargetListError, read_spectra, read_targets

START = '<?xml version="1.0"?>\n'
FIELDS = '<FIELD name="lambda" datatype="double"/><FIELD name="flux" datatype="double"/>'
ROW = "<TR><TD>1</TD><TD>2</TD></TR>"
OPEN = f"<VOTABLE><RESOURCE><TABLE>{FIELDS}<DATA><TABLEDATA>"
CLOSE = "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
WHOLE = START + OPEN + ROW * 3 + CLOSE

LAUGHS = '<!DOCTYPE lolz [<!ENTITY lol "lol">\n' + "\n".join(
    f'<!ENTITY lol{i} "{f"&lol{i - 1 or str()};" * 10}">' for i in range(1, 10)
)


@pytest.fixture
def bounded_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 600e6


def refuse(tmp_path, content, match, name="file.xml"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SpectrumFileError, match=match) as caught:
        read_spectra(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 900
    with pytest.raises(TargetListError, match=name):
        read_targets(path)


def test_the_frame_of_these_tests_is_sound(tmp_path):
    (tmp_path / "a.xml").write_text(WHOLE)
    assert len(read_spectra(tmp_path / "a.xml")) == 3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (START + LAUGHS + "]>\n<VOTABLE>&lol9;</VOTABLE>", "DOCTYPE"),
        (START + '<!DOCTYPE VOTABLE [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + OPEN + CLOSE, "DOCTYPE"),
        (START + '<!DOCTYPE VOTABLE SYSTEM "http://us-vo.org/xml/VOTable.dtd">' + OPEN + CLOSE, "DOCTYPE"),
        (START + "<VOTABLE>&lol;</VOTABLE>", "undefined entity"),
        (START + "<VOTABLE>" + "<RESOURCE>" * 200_000, "nested more than 64 deep"),
        (START + "<VOTABLE>" + "<INFO name='a' value='b'/>" * 200_000 + "</VOTABLE>", "more than 100000 elements"),
        (START + f"<VOTABLE><RESOURCE><TABLE>{FIELDS * 10_000}</TABLE></RESOURCE></VOTABLE>", "more than 2000 columns"),
        (WHOLE[:-60], "truncated"),
        (WHOLE[: WHOLE.index("</TABLEDATA>") - 5], "truncated"),
        (WHOLE[:70], "truncated"),
        (WHOLE.replace("</RESOURCE>", "</RESOURCES>"), "not well-formed XML .mismatched tag"),
        (WHOLE.replace(ROW, ROW + "<TR><TD>1</TD></TR>", 1), "a row does not have 2 cells"),
        (WHOLE.replace(ROW, "<TR><TD><TD>1</TD></TD><TD>2</TD></TR>"), "a row does not have 2 cells"),
        (WHOLE.replace(ROW, "<TR><TD><B>1</B></TD><TD>2</TD></TR>"), "something besides cells"),
        (WHOLE.encode() + b"<VOTABLE>", "junk after document"),
        (
            WHOLE.replace('version="1.0"', 'version="1.0" encoding="UTF-8"')
            .replace("lambda", "l\xe4")
            .encode("latin-1"),
            "not in its declared encoding",
        ),
        (WHOLE.replace('version="1.0"', 'version="1.0" encoding="zip"'), "declares the encoding"),
        (WHOLE.replace("double", "quaternion", 1), "datatype 'quaternion'"),
        (WHOLE.replace('"double"', '"double" arraysize="x5"', 1), "arraysize 'x5'"),
        (WHOLE.replace('"double"', '"double" arraysize="999999999x999999999"', 1), "arraysize"),
        (START + "<html><body>503</body></html>", "an HTML page|XML, but not a VOTable"),
        (START + "<svg><!-- VOTABLE --></svg>", "first element is 'svg'"),
        (START + "<VOTABLE/>", "it has no table"),
        (START + OPEN + "</TABLEDATA></DATA></TABLE>", "truncated"),
    ],
)
def test_votables(tmp_path, content, match):
    refuse(tmp_path, content, match)


def test_data_elsewhere_are_not_fetched(tmp_path):
    secret = tmp_path / "secret.bin"
    os.mkfifo(secret)  # whoever opens it waits forever
    for href in (f"file://{secret}", "http://localhost:9/x", str(secret)):
        data = f'<DATA><BINARY><STREAM href="{href}"/></BINARY></DATA>'
        refuse(tmp_path, START + f"<VOTABLE><RESOURCE><TABLE>{FIELDS}{data}</TABLE></RESOURCE></VOTABLE>", "elsewhere")
    data = '<DATA><FITS><STREAM href="x"/></FITS></DATA>'
    refuse(tmp_path, START + f"<VOTABLE><RESOURCE><TABLE>{FIELDS}{data}</TABLE></RESOURCE></VOTABLE>", "embedded FITS")


def test_binary_data_that_are_none(tmp_path):
    for text, match in (("AAA", "no base64"), ("!", "truncated|no base64|rows")):
        data = f'<DATA><BINARY2><STREAM encoding="base64">{text}</STREAM></BINARY2></DATA>'
        content = START + f'<VOTABLE><RESOURCE><TABLE nrows="5">{FIELDS}{data}</TABLE></RESOURCE></VOTABLE>'
        refuse(tmp_path, content, match)
    sizes = '<FIELD name="lambda" datatype="char" arraysize="0"/><FIELD name="flux" datatype="char" arraysize="0"/>'
    data = base64.b64encode(b"\0" * 100).decode()
    data = f'<DATA><BINARY><STREAM encoding="base64">{data}</STREAM></BINARY></DATA>'
    refuse(
        tmp_path,
        START + f"<VOTABLE><RESOURCE><TABLE>{sizes}{data}</TABLE></RESOURCE></VOTABLE>",
        "whole number of rows",
    )


def test_one_long_text_does_not_fill_the_memory(tmp_path, bounded_memory):
    fields = (
        FIELDS.replace('"double"/>', '"double" arraysize="*"/>') + '<FIELD name="label" datatype="char" arraysize="*"/>'
    )
    n = 5000
    numbers = "1 " * n
    cells = f"<TR><TD>{numbers}</TD><TD>{numbers}</TD><TD>{'x' * 1_000_000}</TD></TR>"
    refuse(tmp_path, START + OPEN.replace(FIELDS, fields) + cells + CLOSE, "repeated for each measurement")


def test_a_tag_without_end(tmp_path, bounded_memory):
    refuse(tmp_path, b"<VOTABLE><INFO value='" + b"x" * 10_000_000, "tag or comment of more than")


def test_a_row_without_end(tmp_path, bounded_memory):
    refuse(tmp_path, (START + OPEN).encode() + b"<TR><TD>" + b"1" * 40_000_000, "row of more than")


def test_compressed_files(tmp_path, bounded_memory):
    bomb = gzip.compress(bytes(150_000_000), 1)
    refuse(tmp_path, bomb, "would decompress to more than")
    refuse(tmp_path, gzip.compress(WHOLE.encode())[:-12], "cannot be read")
    refuse(tmp_path, gzip.compress(b""), "empty after decompression")
    refuse(tmp_path, b"\x1f\x8b" + b"nonsense" * 10, "cannot be read")


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.xml")
    for path, match in (
        (tmp_path / "pipe.xml", "a pipe or device"),
        (tmp_path, "a folder"),
        ("/dev/zero", "a pipe or device"),
        (tmp_path / "none.xml", "[Nn]o such file"),
    ):
        with pytest.raises(SpectrumFileError, match=match):
            read_spectra(path)
        with pytest.raises(TargetListError, match=match):
            read_targets(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "a.xml").write_text(WHOLE)
    (tmp_path / "a.xml").chmod(0)
    with pytest.raises(SpectrumFileError, match="Permission denied"):
        read_spectra(tmp_path / "a.xml")


def test_a_file_beyond_all_size(tmp_path):
    with open(tmp_path / "huge.xml", "wb") as f:
        f.truncate(9 * 1024**3)  # sparse: takes no space
    with pytest.raises(SpectrumFileError, match="at most 8589934592 are read"):
        read_spectra(tmp_path / "huge.xml")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "it is empty"),
        (b"   \n\n", "no line names columns"),
        (b"\x00\x01\x02" * 100, "binary file of an unknown kind"),
        (b"PK\x03\x04" + b"\0" * 50, "ZIP archive"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "binary file"),
        (b"lambda,flux\n1,2\n3\n", "line 3 has 1 cells, but there are 2 columns"),
        (b"lambda,flux\n1,2\n3,4,5\n", "line 3 has 3 cells"),
        (b"lambda,flux\n1,abc\n", "column 'flux': 'abc' is not a number"),
        (b"lambda,flux,flags\n1,2,1.5\n", "1.5 is not a whole number"),
        (b"lambda,flux\n1,\xff\xfe\n", "not UTF-8 text"),
        (b"lambda,flux\n1," + b"9" * 200_000 + b"\n", "field larger than field limit"),
        (b'lambda,flux\n1,"' + b"2,3\n" * 100_000, "it is no table"),
        (b",".join([b"a"] * 3000) + b"\n", "3000 columns; at most 2000"),
        (b"x" * 3_000_000, "no line names columns"),
        (b"|lambda|flux|\n|double|double|\n 1      2    \n 1 222222222222\n", "line 4: a value crosses"),
        (b"\\fixlen = T\n", "no line with | names columns"),
        (b"# %ECSV 1.0\n# ---\n# datatype: " + b"[" * 5000 + b"\nlambda flux\n", "nested too deeply|cannot be read"),
        (b"# %ECSV 1.0\n# ---\n" + b"# - {a: b}\n" * 200_000, "header has more than"),
        (
            b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: lambda, datatype: float64}\nlambda flux\n1 2\n",
            "cannot be read",
        ),
        (
            b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: lambda, datatype: !!python/object:os.system {}}\nlambda\n1\n",
            "cannot",
        ),
    ],
)
def test_text_tables(tmp_path, content, match):
    path = tmp_path / "file.dat"
    path.write_bytes(content)
    with pytest.raises(SpectrumFileError, match=match) as caught:
        read_spectra(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 900


def test_yaml_that_multiplies(tmp_path):
    lines = ["# %ECSV 1.0", "# ---", "# datatype:", "# - {name: lambda, datatype: float64}"]
    lines += ["# - {name: flux, datatype: float64}", "# meta:", "#   a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"#   a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    refuse(tmp_path, "\n".join([*lines, "lambda flux", "1 2"]), "more than 100000 items", "a.ecsv")


def spectrum_fits(path, rows=4):
    table = fits.BinTableHDU.from_columns(
        [fits.Column("lambda", "D", array=np.ones(rows)), fits.Column("flux", "D", array=np.ones(rows))]
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    return path.read_bytes()


def card(key, value):
    return f"{key:8}= {value:>20}".encode()


def test_fits_files(tmp_path):
    whole = spectrum_fits(tmp_path / "sound.fits")
    assert len(read_spectra(tmp_path / "sound.fits")) == 4
    for content, match in (
        (whole[:-2880], "truncated: a header announces 64 bytes"),
        (whole[:4000], "truncated: a header has no end"),
        (whole[:100], "truncated: a header has no end"),
        (whole[:2880], "FITS file without a table"),
        (whole.replace(card("NAXIS2", 4), card("NAXIS2", 10**12)), "announces 10"),
        (
            whole.replace(card("NAXIS2", 4), card("NAXIS2", 10**12)).replace(card("NAXIS1", 16), card("NAXIS1", 0)),
            "rows of 0",
        ),
        (whole.replace(card("NAXIS2", 4), card("NAXIS2", -4)), "cannot be read"),
        (whole.replace(card("TFIELDS", 2), card("TFIELDS", 90000)), "more than 2000 columns"),
        (whole.replace(b"'flux    '", b"'fluss   '"), "no column flux"),
        (whole[:2880] + b"XTENSION" * 1_000_000, "a header has no end"),
    ):
        assert content != whole
        refuse(tmp_path, content, match, "file.fits")


def test_parquet_files(tmp_path):
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet

    pa.parquet.write_table(pa.table({"lambda": [1.0, 2.0], "flux": [1.0, 2.0]}), tmp_path / "sound.parquet")
    whole = (tmp_path / "sound.parquet").read_bytes()
    assert len(read_spectra(tmp_path / "sound.parquet")) == 2
    refuse(tmp_path, whole[: len(whole) // 2], "no Parquet table, or a damaged one", "a.parquet")
    refuse(tmp_path, b"PAR1" + b"\xff" * 500 + b"PAR1", "no Parquet table, or a damaged one", "a.parquet")
    repeated = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, "i4")), pa.array(["x" * 5000]))
    ones = np.ones(1_000_000)
    pa.parquet.write_table(pa.table({"lambda": ones, "flux": ones, "label": repeated}), tmp_path / "b.parquet")
    with pytest.raises(SpectrumFileError, match="text of 5000 characters, too long for 1000000 rows"):
        read_spectra(tmp_path / "b.parquet")


def test_bytes_changed_at_random(tmp_path):
    """Whatever happens to a file, the answer is a table or the one error."""
    rng = np.random.default_rng(1)
    sound = spectrum_fits(tmp_path / "a.fits"), WHOLE.encode(), b"lambda,flux\n1,2\n3,4\n"
    data = struct.pack(">Bdd", 0, 1, 2) * 3
    stream = f'<DATA><BINARY2><STREAM encoding="base64">{base64.b64encode(data).decode()}</STREAM></BINARY2></DATA>'
    sound += (f"<VOTABLE><RESOURCE><TABLE>{FIELDS}{stream}</TABLE></RESOURCE></VOTABLE>".encode(),)
    path = tmp_path / "changed"
    for content in sound:
        used = np.flatnonzero(np.frombuffer(content, "u1") != 32)
        for _ in range(60):
            changed = np.frombuffer(content, "u1").copy()
            changed[rng.choice(used, 3)] = rng.integers(0, 256, 3)
            path.write_bytes(changed.tobytes())
            try:
                read_spectra(path)
            except SpectrumFileError:
                continue
