"""VOTables as the archive writes them, from raw XML."""

import base64
import struct

import astropy.units as u
import numpy as np
import pytest

from glue_spherex.io import SpectrumFileError, read_spectra

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    '<RESOURCE type="results" utype="ipac:MultiSpectrum"><INFO name="QUERY_STATUS" value="OK"/>\n'
)
TAIL = "</TABLE></RESOURCE></VOTABLE>"
DID = ["ivo://irsa.ipac/spherex_qr2?2025W28_3A_0750_3/D1", "short", "ivo://irsa.ipac/spherex_qr3?2026W30_1B_0001_12/D6"]


def packed(texts, width=54):
    return "".join(text.ljust(width) for text in texts)


def field(name, datatype, arraysize="", extra="", inner=""):
    size = f' arraysize="{arraysize}"' if arraysize else ""
    return f'<FIELD ID="id_{name}" name="{name}" datatype="{datatype}"{size} {extra}>{inner}</FIELD>\n'


def wide(rows, did_size="54x*", group='utype="ipac:Spectrum.ArrayData"', more="", serialised=None):
    names = ["lambda", "flux", "flags", "deep_flg", "obs_publisher_did"]
    refs = "".join(f'<FIELDref ref="id_{name}"/>' for name in names)
    return (
        HEAD
        + '<TABLE utype="ipac:MultiSpectrum"><DESCRIPTION>A &amp; B</DESCRIPTION>\n'
        + f'<GROUP {group}><GROUP name="inner">{refs}</GROUP><PARAMref ref="frame"/></GROUP>\n'
        + '<PARAM ID="frame" name="time_frame" datatype="char" arraysize="*" value="UTC"/>\n'
        + '<PARAM name="bkg_region_size" datatype="int" value="15"/>'
        + '<PARAM name="scale" datatype="double" value="6.15"/>\n'
        + field("source_id", "int")
        + field("label", "char", "*")
        + field("ra", "double", "", 'unit="deg"')
        + field("n_meas", "int")
        + field("lambda", "double", "*", 'unit="um"', "<DESCRIPTION>central wavelength</DESCRIPTION>")
        + field("flux", "float", "*", 'unit="uJy"')
        + field("flags", "long", "*", "", '<VALUES null="-1"/>')
        + field("deep_flg", "boolean", "*")
        + field("obs_publisher_did", "char", did_size)
        + more
        + (serialised or f"<DATA><TABLEDATA>\n{rows}\n</TABLEDATA></DATA>")
        + TAIL.replace(
            "</RESOURCE>",
            "</RESOURCE>\n<RESOURCE type='meta' utype='adhoc:service'><PARAM name='x' value='1'/></RESOURCE>",
        )
    )


def row(*cells):
    return "<TR>" + "".join(f"<TD>{cell}</TD>" for cell in cells) + "</TR>\n"


TWO = row(7, "0012", 10.5, 3, "2.5 0.75 5", "1 NaN -3.5", "4566024192 -1 9007199254740993", "T F T", packed(DID))
TWO += row(9, "b &lt; c", 20, 1, "1.5", "-Inf", "0", "?", "x")


def read(tmp_path, text, name="result.xml", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return read_spectra(path)


def assert_two(t):
    assert t.colnames == [
        "source_id",
        "label",
        "ra",
        "n_meas",
        "wavelength",
        "flux",
        "flags",
        "deep_flg",
        "obs_publisher_did",
    ]
    assert t["source_id"].tolist() == [7, 7, 7, 9]
    assert t["label"].tolist() == ["0012", "0012", "0012", "b < c"]
    assert t["ra"].to_value("deg").tolist() == [10.5, 10.5, 10.5, 20]
    assert t["n_meas"].tolist() == [3, 3, 3, 1]
    assert t["wavelength"].unit == u.um
    assert t["wavelength"].value.tolist() == [2.5, 0.75, 5, 1.5]
    np.testing.assert_array_equal(t["flux"].value, [1, np.nan, -3.5, -np.inf])
    assert t["flags"].dtype == np.int64
    assert t["flags"].tolist() == [4566024192, None, 9007199254740993, 0]
    assert t["deep_flg"].tolist() == [True, False, True, None]
    assert t["obs_publisher_did"].tolist() == [*DID, "x"]


def test_wide_form(tmp_path):
    t = read(tmp_path, wide(TWO))
    assert_two(t)
    assert t["wavelength"].info.description == "central wavelength"
    assert t.meta["time_frame"] == "UTC"
    assert t.meta["bkg_region_size"] == 15
    assert t.meta["scale"] == 6.15
    assert t.meta["QUERY_STATUS"] == "OK"
    assert t.meta["description"] == "A & B"
    assert "x" not in t.meta  # of the service descriptor


@pytest.mark.parametrize("size", ["54x", "54x3"])
def test_other_spellings_of_the_packed_size(tmp_path, size):
    assert read(tmp_path, wide(TWO, size))["obs_publisher_did"][2] == DID[2]


@pytest.mark.parametrize("group", ['utype="ipac:ArrayData"', 'ID="photometry"'])
def test_arrays_tell_the_form_whatever_the_group(tmp_path, group):
    assert_two(read(tmp_path, wide(TWO, group=group)))


def test_packed_strings_without_their_last_blanks(tmp_path):
    assert_two(read(tmp_path, wide(TWO.replace(packed(DID), packed(DID).rstrip()))))


def test_words_instead_of_packed_strings(tmp_path):
    assert_two(read(tmp_path, wide(TWO.replace(packed(DID), " ".join(DID)), did_size="*")))


@pytest.mark.parametrize(
    ("encoding", "declared"), [("utf-16", "UTF-16"), ("latin-1", "ISO-8859-1"), ("utf-8-sig", "UTF-8")]
)
def test_encodings(tmp_path, encoding, declared):
    text = wide(TWO.replace("0012", "né")).replace('encoding="UTF-8"', f'encoding="{declared}"')
    assert read(tmp_path, text, encoding=encoding)["label"][0] == "né"


def test_prefixes_comments_cdata_and_attributes(tmp_path):
    text = wide(TWO).replace("<TR>", '<TR ID="r">', 1).replace("<TD>7</TD>", "<!-- <TD>8</TD> --><TD >7</TD >")
    text = text.replace("<TD>b &lt; c</TD>", "<TD><![CDATA[b < c]]></TD>")
    assert_two(read(tmp_path, text))
    import re

    text = re.sub(r"<(/?)(?=[A-Z])", r"<\1v:", wide(TWO)).replace("xmlns=", "xmlns:v=")
    assert_two(read(tmp_path, text))


def test_a_source_without_measurements_is_counted(tmp_path):
    none = "<TR><TD>8</TD><TD>c</TD><TD>1</TD><TD>0</TD><TD/><TD/><TD/><TD/><TD/></TR>"
    t = read(tmp_path, wide(TWO + none))
    assert_two(t)
    assert t.meta["n_sources_without_data"] == 1


def test_position_per_source_and_per_measurement(tmp_path):
    rows = TWO.replace("</TR>", "<TD>10.5 10.6 10.7</TD></TR>", 1).replace(
        "<TD>x</TD></TR>", "<TD>x</TD><TD>21</TD></TR>"
    )
    more = '<FIELD name="ra" datatype="double" arraysize="*" unit="deg"/>'
    t = read(tmp_path, wide(rows, more=more))
    assert t["ra"].value.tolist() == [10.5, 10.6, 10.7, 21]
    assert t["ra_source"].value.tolist() == [10.5, 10.5, 10.5, 20]


def test_arrays_of_different_length_are_refused(tmp_path):
    with pytest.raises(SpectrumFileError, match=r"result\.xml.*row 1: column 'flux' has 2 values, 'lambda' has 3"):
        read(tmp_path, wide(TWO.replace("1 NaN -3.5", "1 2")))


def binary_rows(count, flags=b""):
    """The rows of TWO as BINARY; `count` gives the length before packed strings."""
    data = b""
    arrays = [
        (7, "0012", 10.5, 3, [2.5, 0.75, 5], [1, np.nan, -3.5], [4566024192, -1, 9007199254740993], b"TFT", DID),
        (9, "b < c", 20, 1, [1.5], [-np.inf], [0], b"?", ["x"]),
    ]
    for source, label, ra, n, wave, flux, bits, deep, did in arrays:
        text = packed(did)
        data += flags + struct.pack(">i", source) + struct.pack(">i", len(label)) + label.encode()
        data += struct.pack(">di", ra, n)
        data += struct.pack(">i", len(wave)) + struct.pack(f">{len(wave)}d", *wave)
        data += struct.pack(">i", len(flux)) + struct.pack(f">{len(flux)}f", *flux)
        data += struct.pack(">i", len(bits)) + struct.pack(f">{len(bits)}q", *bits)
        data += struct.pack(">i", len(deep)) + deep
        data += struct.pack(">i", count(text, did)) + text.encode()
    return data


def stream(data, kind):
    text = base64.encodebytes(data).decode()
    return f'<DATA><{kind}><STREAM encoding="base64">\n{text}</STREAM></{kind}></DATA>'


@pytest.mark.parametrize("kind", ["BINARY", "BINARY2"])
@pytest.mark.parametrize("counted", ["characters", "strings"])
def test_wide_form_in_binary(tmp_path, kind, counted):
    flags = b"\x00\x00" if kind == "BINARY2" else b""
    data = binary_rows(lambda text, did: len(text) if counted == "characters" else len(did), flags)
    assert_two(read(tmp_path, wide("", serialised=stream(data, kind))))


def test_masks_of_binary2(tmp_path):
    fields = field("lambda", "double") + field("flux", "double") + field("flags", "long") + field("deep_flg", "boolean")
    fields += field("label", "unicodeChar", "3") + field("kind", "bit")
    data = struct.pack(">BddqB", 0b01101000, 1.0, 2.0, 5, ord("T")) + "né\0".encode("utf-16-be") + b"\x80"
    data += struct.pack(">BddqB", 0, 3.0, 4.0, 2**62 + 1, 0) + "abc".encode("utf-16-be") + b"\x00"
    t = read(tmp_path, HEAD + "<TABLE nrows='2'>" + fields + stream(data, "BINARY2") + TAIL)
    np.testing.assert_array_equal(t["flux"].value, [np.nan, 4])
    assert t["flags"].tolist() == [None, 2**62 + 1]
    assert t["deep_flg"].tolist() == [True, None]
    assert t["label"].tolist() == ["né", "abc"]
    assert t["kind"].tolist() == [True, False]


@pytest.mark.parametrize("n_rows", [0, 1, 3, 10**15])
@pytest.mark.parametrize("kind", ["BINARY", "BINARY2"])
def test_a_lying_number_of_rows(tmp_path, n_rows, kind):
    flags = b"\x00" if kind == "BINARY2" else b""
    data = b"".join(flags + struct.pack(">dd", i, i) for i in range(2))
    fields = field("lambda", "double") + field("flux", "double")
    with pytest.raises(SpectrumFileError, match=f"announces {n_rows} rows, but its data hold 2"):
        read(tmp_path, HEAD + f"<TABLE nrows='{n_rows}'>" + fields + stream(data, kind) + TAIL)
    with pytest.raises(SpectrumFileError, match="no whole number of rows"):
        read(tmp_path, HEAD + "<TABLE>" + fields + stream(data[:-3], kind) + TAIL)


def test_a_cell_beyond_the_end(tmp_path):
    data = struct.pack(">dii", 1.0, 2**31 - 1, 5)
    fields = field("lambda", "double") + field("flux", "double", "*")
    with pytest.raises(SpectrumFileError, match="data end inside row 1"):
        read(tmp_path, HEAD + "<TABLE>" + fields + stream(data, "BINARY") + TAIL)


def test_the_second_table_may_be_the_spectrum(tmp_path):
    first = "<TABLE>" + field("a", "int") + "<DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE>"
    second = "<TABLE>" + field("wavelength", "double") + field("flux", "double")
    second += f"<DATA><TABLEDATA>{row(1, 2)}</TABLEDATA></DATA>"
    assert len(read(tmp_path, HEAD + first + second + TAIL)) == 1


def test_what_is_missing_is_said(tmp_path):
    text = HEAD + "<TABLE>" + field("wave", "double") + field("flux", "double") + "<DATA><TABLEDATA/></DATA>" + TAIL
    with pytest.raises(SpectrumFileError, match="no column lambda, which a spectrum needs; its columns are wave, flux"):
        read(tmp_path, text)
    text = HEAD + "<TABLE>" + field("lambda", "double") + field("wavelength", "double") + field("flux", "double") + TAIL
    with pytest.raises(SpectrumFileError, match="more than one column for wavelength"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("abc", "column 'flags': 'abc' is not a whole number"),
        ("1.5", "'1.5' is not a whole number"),
        ("9223372036854775808", "'9223372036854775808' is not a whole number of 64 bits"),
        ("&nbsp;", "not a whole number"),
    ],
)
def test_cells_that_are_no_numbers(tmp_path, cell, match):
    fields = field("lambda", "double") + field("flux", "double") + field("flags", "long")
    with pytest.raises(SpectrumFileError, match=match):
        read(tmp_path, f"{HEAD}<TABLE>{fields}<DATA><TABLEDATA>{row(1, 2, cell)}</TABLEDATA></DATA>{TAIL}")


def test_numbers_in_other_spellings(tmp_path):
    fields = field("lambda", "double") + field("flux", "float") + field("flags", "long") + field("n", "short")
    rows = row(" 1e0 ", "+Inf", "0x80", "") + row("", " ", "", "-5") + row("NaN", "2", " 7 ", "1")
    t = read(tmp_path, f"{HEAD}<TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA>{TAIL}")
    np.testing.assert_array_equal(t["wavelength"].value, [1, np.nan, np.nan])
    np.testing.assert_array_equal(t["flux"].value, [np.inf, np.nan, 2])
    assert t["flags"].tolist() == [128, None, 7]
    assert t["n"].tolist() == [None, -5, 1]
    assert t["n"].dtype == np.int16
    assert t["flux"].dtype == np.float32
