"""The search services of an archive on this computer: SIA2 and TAP over the files that it offers."""

import re
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import numpy as np

from glue_spherex.model.detectors import DETECTORS

from .archive_server import IBE, Answer

#: Some of the columns that the archive gives, in its order.
COLUMNS = (
    "s_ra", "s_dec", "facility_name", "obs_id", "em_min", "em_max", "access_url", "access_format", "access_estsize",
    "t_exptime", "s_region", "obs_collection", "target_name", "t_min", "t_max", "obs_publisher_did", "cloud_access",
    "o_ucd", "upload_row_id",
)  # fmt: skip
NUMBERS = ("s_ra", "s_dec", "em_min", "em_max", "t_exptime", "t_min", "t_max")
COLLECTIONS = ("spherex_qr2", "spherex_qr2_cal", "spherex_qr2_deep", "spherex_qr3", "spherex_qr3_deep", "wise_allwise")


@dataclass
class SearchServices:
    """What the archive knows of its images, and the services that tell it.

    Attributes
    ----------
    rows : list of dict
        Values by column.
    collections : sequence of str
        What SIA2 lists.
    """

    rows: list = field(default_factory=list)
    collections: tuple = COLLECTIONS

    def join(self, archive):
        """Offer the services on a server."""
        archive.services["/SIA"] = self.sia
        archive.services["/TAP/sync"] = self.tap
        return self

    def add_image(self, archive, key, collection="spherex_qr2"):
        """Let the services know of a Level-2 file that the server offers below its file address."""
        self.rows.append(row_of(archive, key, collection))
        return self.rows[-1]

    def add_field(self, archive, simulated, release="qr2"):
        """Offer everything of a `SimulatedField` on a server, and let the services know of its images."""
        return [self.add_image(archive, key, f"spherex_{release}") for key in archive.add_field(simulated, release)]

    def sia(self, question):
        """Simple Image Access 2.0."""
        query = {name.upper(): values for name, values in question.query.items()}
        limit = int(query.get("MAXREC", ["1000000"])[0])
        if limit == 0:
            return Answer(_description(self.collections))
        found = re.fullmatch(r"circle +(\S+) +(\S+) +(\S+)", query.get("POS", [""])[0], re.IGNORECASE)
        if not found:
            return Answer(votable([], "ERROR", "POS must be a circle"), status=400)
        rows = self.find(*(float(word) for word in found.groups()), query.get("COLLECTION"))
        return self.answer(rows[:limit], len(rows) > limit)

    def answer(self, rows, cut):
        """What Simple Image Access sends."""
        return Answer(votable(rows, "OVERFLOW" if cut else "OK"))

    def tap(self, question):
        """Table Access 1.1, for the two questions that are asked: with and without begins of exposures.

        As in the archive, the table of observations tells the address of a page of links, and that of artifacts the
        path of the file.
        """
        query = parse_qs(question.body.decode()) or question.query
        asked = query.get("QUERY", [""])[0]
        found = re.fullmatch(
            r"SELECT (.*) FROM spherex\.obscore o JOIN spherex\.plane p ON o\.obs_publisher_did = p\.obs_publisher_did "
            r"JOIN spherex\.artifact a ON p\.planeid = a\.planeid WHERE o\.obs_collection IN \((.*)\) AND "
            r"INTERSECTS\(CIRCLE\('ICRS', (.*), (.*), (.*)\), o\.s_region\) = 1"
            r"((?: AND \(o\.obs_collection <> '\w+' OR o\.t_min > [\d.]+\))*)",
            asked,
        )
        if not found:
            return Answer(votable([], "ERROR", f"cannot parse {asked}"), status=400)
        names = [word.strip(" '") for word in found[2].split(",")]
        columns = [word.strip().rpartition(" AS ") for word in found[1].split(",")]
        newer = {name: float(mjd) for name, mjd in re.findall(r"<> '(\w+)' OR o\.t_min > ([\d.]+)", found[6])}
        rows = self.find(*(float(word) for word in found.groups()[2:5]), names)
        rows = [_in_tables(row) for row in rows if row["t_min"] > newer.get(row["obs_collection"], 0)]
        limit = int(query.get("MAXREC", ["1000000"])[0])
        names = {name.rpartition(".")[2]: column or name for column, _, name in columns}
        rows = [{name: row[column] for name, column in names.items()} for row in rows]
        return Answer(votable(rows[:limit], "OVERFLOW" if len(rows) > limit else "OK", columns=tuple(names)))

    def find(self, ra, dec, radius, collections=None):
        """Rows of images that touch a circle, deg."""
        return [
            row
            for row in self.rows
            if (collections is None or row["obs_collection"] in collections)
            and _touches(row["s_region"], ra, dec, radius)
        ]


def _in_tables(row):
    """A row of SIA2 as the columns of the tables of TAP."""
    links = f"https://irsa.ipac.caltech.edu/datalink/links/spherex?ID={row['obs_publisher_did']}"
    observation = {f"o.{name}": value for name, value in row.items()} | {"o.access_url": links}
    return observation | {"a.uri": urlsplit(row["access_url"]).path.lstrip("/")}


def row_of(archive, key, collection="spherex_qr2"):
    """What the archive tells about a Level-2 file, from its header."""
    from astropy.io import fits
    from astropy.wcs import WCS

    content = archive.files[IBE + key]
    with fits.open(BytesIO(content) if isinstance(content, bytes) else content) as hdus:
        header = hdus["IMAGE"].header
        corners = WCS(header).calc_footprint(axes=(header["NAXIS1"], header["NAXIS2"]), center=False)
        corners = corners[[0, 3, 2, 1]]  # the archive goes along x first
        size = sum(hdu.filebytes() for hdu in hdus)
    return row(
        archive, key, corners, header["MJD-BEG"], header["MJD-END"], collection, round(size / 1000), header["OBSID"],
        header["DETECTOR"],
    )  # fmt: skip


def row(archive, key, corners, begin, end, collection, size_kb, obsid, detector):
    """A row about an image, for which there need not be a file."""
    band = DETECTORS[detector]
    region = " ".join(str(number) for number in np.vstack([corners, corners[:1]]).ravel())
    return dict.fromkeys(COLUMNS, "") | {
        "s_ra": corners[:, 0].mean(), "s_dec": corners[:, 1].mean(), "facility_name": "SPHEREx", "obs_id": obsid,
        "em_min": 1e-6 * band.wavelength_min_um, "em_max": 1e-6 * band.wavelength_max_um,
        "access_url": archive.url + IBE + key, "access_format": "image/fits",
        "access_estsize": size_kb, "t_exptime": 113.5826, "s_region": f"POLYGON ICRS {region}",
        "obs_collection": collection, "target_name": "SPS_87514", "t_min": begin, "t_max": end,
        "obs_publisher_did": f"ivo://irsa.ipac/{collection}?{obsid}/D{detector}",
        "cloud_access": f'{{"aws": {{"bucket_name": "nasa-irsa-spherex", "key":"{key}", "region": "us-east-1"}}}}',
        "upload_row_id": 1,
    }  # fmt: skip


def votable(rows, status="OK", text="", columns=COLUMNS):
    """A VOTable as the archive writes it."""
    fields = "".join(
        f'<FIELD name="{name}" datatype="double"/>' if name in NUMBERS
        else f'<FIELD name="{name}" datatype="char" arraysize="*"/>' for name in columns
    )  # fmt: skip
    lines = [
        f"<TR>{''.join(f'<TD>{escape(str(values[name]), quote=False)}</TD>' for name in columns)}</TR>\n"
        for values in rows
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="{status}">{escape(text, quote=False)}</INFO>'
        f"<TABLE>{fields}<DATA><TABLEDATA>\n{''.join(lines)}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>\n"
    ).encode()


def _description(collections):
    options = "".join(f'<OPTION value="{name}"/>' for name in collections)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        '<INFO name="QUERY_STATUS" value="OK"/>'
        '<PARAM name="INPUT:POS" datatype="char" arraysize="*" value=""/>'
        f'<PARAM name="INPUT:COLLECTION" datatype="char" arraysize="*" value=""><VALUES>{options}</VALUES></PARAM>'
        "</RESOURCE></VOTABLE>\n"
    ).encode()


def _vectors(ra, dec):
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _touches(region, ra, dec, radius):
    """Whether a convex polygon has a point in a circle: its edges are looked at in steps."""
    numbers = np.array(region.split()[2:], float).reshape(-1, 2)
    corners, centre = _vectors(numbers[:, 0], numbers[:, 1]), _vectors(ra, dec)
    sides = np.cross(corners[:-1], corners[1:]) @ centre
    if (sides > 0).all() or (sides < 0).all():
        return (corners @ centre > 0).any()
    steps = np.linspace(0, 1, 65)[:, None, None]
    edges = (1 - steps) * corners[:-1] + steps * corners[1:]
    edges /= np.linalg.norm(edges, axis=-1, keepdims=True)
    return bool((edges @ centre).max() >= np.cos(np.radians(radius)))
