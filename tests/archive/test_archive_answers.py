import base64
import json

import numpy as np
import pytest

from glue_spherex.images.archive.answer_tables import COLUMNS, parse_answer
from glue_spherex.images.archive.answers import images_of, listed_collections
from glue_spherex.images.archive.errors import AnswerTooLarge, ArchiveError

ROOT = "https://irsa.ipac.caltech.edu/ibe/data/spherex/"
KEY = "qr2/level2/2025W51_1A/l2b-v21-2025-354/3/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits"
CLOUD = {"aws": {"bucket_name": "nasa-irsa-spherex", "key": KEY, "region": "us-east-1"}}
ROW = {
    "obs_collection": "spherex_qr2",
    "access_url": ROOT + KEY,
    "t_min": "61027.214984",
    "t_max": "61027.216317",
    "s_region": "POLYGON ICRS 6.96 41.75 11.28 43.14 13.17 39.95 8.98 38.62 6.96 41.75",
    "obs_publisher_did": "ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_2/D3",
    "access_estsize": "71638",
    "cloud_access": json.dumps(CLOUD),
}


FIELDS = "".join(f'<FIELD name="{name}" datatype="char" arraysize="*"/>' for name in ROW)


def votable(rows, before="", status="OK", head='<?xml version="1.0" encoding="UTF-8"?>', table=None):
    lines = "".join(f"<TR>{''.join(f'<TD>{row[name]}</TD>' for name in ROW)}</TR>" for row in rows)
    table = table or f"<TABLE>{FIELDS}<DATA><TABLEDATA>{lines}</TABLEDATA></DATA></TABLE>"
    return (
        f'{head}{before}<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results"><INFO name="QUERY_STATUS" value="{status}">why</INFO>{table}</RESOURCE></VOTABLE>'
    ).encode()


def csv(rows, quote=False):
    lines = [",".join(["s_ra", *ROW, "o_ucd"])]
    for row in rows:
        cloud = row["cloud_access"]
        cloud = '"' + cloud.replace('"', '""') + '"' if quote else cloud
        lines.append(",".join(["10.1", *(cloud if name == "cloud_access" else row[name] for name in ROW), ""]))
    return "\r\n".join(lines).encode() + b"\r\n"


def moved(folder):
    """What is different in a row whose image lies in another folder."""
    return {name: ROW[name].replace("qr2/level2", f"{folder}/level2") for name in ("access_url", "cloud_access")}


def parsed(data, **options):
    return images_of(parse_answer(data, "the answer", **options), ROOT)


@pytest.mark.parametrize("data", [votable([ROW]), csv([ROW]), csv([ROW], quote=True)], ids=["votable", "csv", "quoted"])
def test_an_image(data):
    (image,), rejected = parsed(data)
    assert not rejected
    assert (image.obsid, image.detector, image.release, image.deep) == ("2025W51_1A_0684_2", 3, "qr2", False)
    assert (image.mjd_begin, image.mjd_end) == (61027.214984, 61027.216317)
    assert image.access_url == ROOT + KEY
    assert image.cloud == KEY
    assert image.size_bytes == 71_638_000
    assert image.file_version == "l2b-v21-2025-354"
    assert image.exposure_id == 202551101068423
    assert image.collection == "spherex_qr2"
    np.testing.assert_array_equal(image.footprint, [[6.96, 41.75], [11.28, 43.14], [13.17, 39.95], [8.98, 38.62]])


def test_real_rows(test_data):
    """What the archive itself wrote, with its unquoted JSON."""
    images, rejected = parsed((test_data / "archive" / "sia2_rows_qr2_m31.csv").read_bytes())
    assert not rejected
    assert [image.detector for image in images] == [3, 6, 5, 4, 1, 2]
    assert {image.collection for image in images} == {"spherex_qr2"}
    assert all(image.obs_publisher_did.endswith(f"{image.obsid}/D{image.detector}") for image in images)
    assert all(
        image.cloud.endswith(f"{image.obsid}D{image.detector}_spx_{image.file_version}.fits") for image in images
    )


def test_an_answer_without_images():
    for data in (votable([]), csv([])):
        table = parse_answer(data, "the answer")
        assert (table.n_rows, table.complete) == (0, True)
        assert images_of(table, ROOT) == ([], [])


def test_an_answer_that_was_cut():
    assert not parse_answer(votable([ROW], status="OVERFLOW"), "the answer").complete


def test_a_table_with_commas_cannot_say_that_it_was_cut():
    """One with as many rows as were asked for may have been."""
    for n, max_rows, complete in ((3, 3, False), (3, 4, True), (0, 1, True)):
        table = parse_answer(csv([ROW] * n), "the answer", max_rows=max_rows)
        assert (table.n_rows, table.complete) == (n, complete)


def test_numbers_and_gaps():
    """Columns of numbers, a missing identifier and a missing size: as Table Access may answer."""
    kinds = dict.fromkeys(COLUMNS[:6], 'char" arraysize="*') | {"t_min": "double", "t_max": "double"}
    fields = "".join(f'<FIELD name="{name}" datatype="{kind}"/>' for name, kind in kinds.items())
    cells = "".join(f"<TD>{ROW[name]}</TD>" for name in COLUMNS[:5]) + "<TD/>"
    table = f"<TABLE>{fields}<DATA><TABLEDATA><TR>{cells}</TR></TABLEDATA></DATA></TABLE>"
    (image,), _ = parsed(votable([], table=table))
    assert image.obs_publisher_did == ROW["obs_publisher_did"]
    assert (image.mjd_begin, image.size_bytes) == (61027.214984, 0)


def test_the_server_is_ours_whatever_the_answer_says():
    (image,), _ = parsed(votable([ROW | {"access_url": "http://169.254.169.254/" + KEY}]))
    assert image.access_url == ROOT + KEY


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"access_url": ROOT + KEY.replace("/3/", "/../../3/")}, "not that of a Level-2 file"),
        ({"access_url": ROOT + "../" * 5 + "etc/passwd"}, "not that of a Level-2 file"),
        ({"access_url": ROOT + "a" * 100_000 + KEY}, "not that of a Level-2 file"),
        ({"access_url": ROOT + KEY + "?x=1"}, "not that of a Level-2 file"),
        ({"access_url": ROOT + KEY + "%00"}, "not that of a Level-2 file"),
        ({"access_url": ROOT + KEY.replace("D3", "D4")}, "not that of a Level-2 file"),
        ({"access_url": ROOT + KEY.replace("2025W51_1A_0684", "2025W52_1A_0684")}, "two planning periods"),
        ({"access_url": ROOT + KEY.replace("0684", "0685")}, "differ"),
        ({"obs_collection": "spherex_qr3"}, "its collection is 'spherex_qr3', but its address 'qr2/level2"),
        ({"obs_collection": "spherex_qr3_deep"}, "its collection is 'spherex_qr3_deep', but its address 'qr2/level2"),
        ({"obs_collection": "spherex_dr2"}, "its collection is 'spherex_dr2', but"),
        (moved("qr3"), "its collection is 'spherex_qr2', but its address 'qr3/level2"),
        (moved("qr"), "but its address 'qr/level2"),
        (moved("qr22"), "but its address 'qr22/level2"),
        ({"access_url": ""}, "not that of a Level-2 file"),
        ({"cloud_access": '{"aws": {"key": "../../x"}}'}, "not that of a Level-2 file"),
        ({"cloud_access": "{nothing"}, "cloud_access is"),
        ({"cloud_access": "[]"}, "cloud_access is"),
        ({"obs_publisher_did": "ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_2/D4"}, "does not fit"),
        ({"obs_publisher_did": "x" * 10_000}, "does not fit"),
        ({"obs_collection": "spherex_qr2_cal"}, "its collection is"),
        ({"t_min": "yesterday"}, "its time is"),
        ({"t_min": "nan"}, "its time is"),
        ({"t_min": "61028"}, "before it begins"),
        ({"s_region": "CIRCLE ICRS 1 2 3"}, "a polygon is needed"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 5 6"}, "four corners"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 5 6 7 inf"}, "four corners"),
        ({"s_region": "POLYGON ICRS 1 2 3 4 5 6 7 95"}, "four corners"),
        ({"s_region": "POLYGON ICRS " + "1 2 " * 100_000}, "four corners"),
    ],
)
def test_rows_that_are_no_image(change, reason):
    images, rejected = parsed(votable([ROW, ROW | change, ROW]))
    assert len(images) == 2
    ((number, told),) = rejected
    assert number == 2
    assert reason in told
    assert len(told) < 600


@pytest.mark.parametrize(
    ("collection", "folder", "release", "deep"),
    [
        ("spherex_qr2_deep", "qr2", "qr2", True),
        ("spherex_qr2_deep", "qr2_deep", "qr2", True),
        ("spherex_qr4", "qr4", "qr4", False),
        ("spherex_dr1", "dr1", "dr1", False),
        ("spherex_dr1_deep", "dr1_deep", "dr1", True),
    ],
)
def test_collections_in_their_folders(collection, folder, release, deep):
    row = ROW | moved(folder) | {"obs_collection": collection, "obs_publisher_did": ""}
    (image,), rejected = parsed(votable([row]))
    assert not rejected
    assert (image.collection, image.release, image.deep) == (collection, release, deep)
    assert image.cloud.startswith(f"{folder}/level2/")


def test_other_collections_are_left_out():
    rows = [ROW, ROW | {"obs_collection": "wise_allwise"}]
    assert [len(part) for part in images_of(parse_answer(votable(rows), "x"), ROOT, ["spherex_qr2"])] == [1, 0]


BOMB = "<!DOCTYPE x [" + '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi")
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (votable([ROW | {"t_min": "&i;"}], before=BOMB), "a document type"),
        (votable([ROW], before='<!DOCTYPE VOTABLE SYSTEM "http://127.0.0.1:9/x.dtd">'), "a document type"),
        (votable([ROW], before="<!-- " + "x" * 20_000 + " -->" + BOMB), "a document type"),
        (votable([ROW], before=BOMB, head='<?xml version="1.0"?>').decode().encode("utf-16"), "neither"),
        (votable([ROW], head='<?xml version="1.0"?>').decode().encode("utf-16-le"), "UTF-8"),
        (votable([ROW], head='<?xml version="1.0" encoding="UTF-7"?>'), "no XML|UTF-8"),
        (votable([ROW], head='<?xml version="1.0" encoding="windows-1252"?>'), "UTF-8"),
        (b"<!DOCTYPE html><html><body>Down</body></html>", "a web page"),
        (b"<html><body>Down</body></html>", "a web page"),
        (b"<error>no</error>", "XML of the kind 'error'"),
        (b"", "neither a VOTable"),
        (b"\x89PNG\r\n\x1a\n" * 10, "neither a VOTable"),
        (votable([ROW])[:-200], "damaged VOTable"),
        (votable([ROW], status="ERROR"), "refuses the search: why"),
        (votable([], table="<DESCRIPTION>none</DESCRIPTION>"), "holds no table"),
        (votable([]).replace(b"s_region", b"region"), "no column s_region"),
        (csv([ROW]).replace(b"s_region", b"region"), "no column s_region"),
        (csv([ROW]) + b"1,2,3\r\n", "line 3"),
        (b"obs_collection,t_min\r\n" + b'"' + b"x" * 1_000_000 + b'",1\r\n', "line 2"),
        (b"obs_collection,t\r_min\r\n1,2\r\n", "neither a VOTable"),
    ],
    ids=range(20),
)  # fmt: skip
def test_answers_that_are_refused(data, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        parse_answer(data, "the answer")
    assert str(caught.value).startswith("the answer: ")
    assert len(str(caught.value)) < 500


def binary(name, n_rows, attributes=""):
    """A VOTable whose rows are 8 bytes each, and in BINARY2 a byte of nulls."""
    fields = "".join(f'<FIELD name="{column}" datatype="unsignedByte"/>' for column in ROW)
    content = base64.b64encode(bytes(n_rows * (9 if name == "BINARY2" else 8))).decode()
    stream = f'<STREAM encoding="base64"{attributes}>{content}</STREAM>'
    return votable([], table=f"<TABLE>{fields}<DATA><{name}>{stream}</{name}></DATA></TABLE>")


@pytest.mark.parametrize(
    "data",
    [
        binary("BINARY", 1),
        binary("BINARY2", 1_000_000),
        binary("v:BINARY2", 1),
        binary("FITS", 1),
        binary("BINARY", 0, ' actuate="onLoad" href="file:///etc/passwd"'),
        binary("BINARY", 0, ' actuate="onLoad" href="http://127.0.0.1:9/x"'),
    ],
    ids=range(6),
)
def test_only_tables_whose_rows_can_be_counted_are_read(data):
    with pytest.raises(ArchiveError, match="in binary form or in another file"):
        parse_answer(data, "the answer")


@pytest.mark.parametrize("prefix", ["", "v:"])
def test_rows_are_counted_whatever_their_namespace_is_called(prefix):
    rows = f"<{prefix}TR>{''.join(f'<{prefix}TD>{ROW[name]}</{prefix}TD>' for name in ROW)}</{prefix}TR>" * 4
    data = votable([]).replace(b"</TABLEDATA>", rows.encode() + b"</TABLEDATA>")
    data = data.replace(b"<VOTABLE", b'<VOTABLE xmlns:v="http://www.ivoa.net/xml/VOTable/v1.3"')
    assert parse_answer(data, "the answer", max_rows=4).n_rows == 4
    with pytest.raises(AnswerTooLarge, match="has 4 rows; at most 3"):
        parse_answer(data, "the answer", max_rows=3)


@pytest.mark.parametrize("prefix", ["", "v:"])
@pytest.mark.parametrize(
    ("element", "message"),
    [
        ('FIELD name="c{0}" datatype="int"', "20008 columns; at most 200"),
        ('INFO name="n" value="v"', "20014 elements beside its rows; at most 10000"),
    ],
)
def test_so_many_elements_are_not_taken_apart(prefix, element, message):
    many = "".join(f"<{prefix}{element.format(number)}/>" for number in range(20_000))
    table = f"<TABLE>{FIELDS}{many}<DATA><TABLEDATA></TABLEDATA></DATA></TABLE>"
    with pytest.raises(ArchiveError, match=message):
        parse_answer(votable([], table=table), "the answer")


def test_rows_in_commas_are_counted():
    for lines in (b"\n" * 1_000_000, b"1,2\n" * 300_000):
        with pytest.raises(AnswerTooLarge, match="rows; at most 200000"):
            parse_answer(csv([]) + lines, "the answer")


@pytest.mark.parametrize("line", [b",{" * 1_000_000, b"\r" * 2_100_000, b",{}" * 700_000, b"x" * 2_000_000])
def test_long_lines_in_commas_are_refused(line):
    with pytest.raises(ArchiveError, match=r"line 3 of the answer has 2\d{6} characters; refused"):
        parse_answer(csv([ROW]) + line + b"\n", "the answer")
    with pytest.raises(ArchiveError, match=r"line 1 of the answer has 2\d{6} characters; refused"):
        parse_answer(line, "the answer")


def test_collections_that_the_service_lists():
    options = "".join(
        f'<OPTION value="{name}"/>'
        for name in ("spherex_qr2", "spherex_qr4_deep", "spherex_dr1", "spherex_qr2_cal", "wise", "../spherex_qr9")
    )
    param = f'<PARAM name="INPUT:COLLECTION" datatype="char" arraysize="*" value=""><VALUES>{options}</VALUES></PARAM>'
    for table in (param, f'<GROUP name="inputParams">{param}</GROUP>'):
        data = votable([], table=table)
        assert listed_collections(data, "the service") == ["spherex_dr1", "spherex_qr2", "spherex_qr4_deep"]
    assert listed_collections(votable([]), "the service") == []
