"""The two services that find images, asked about one circle on the sky."""

from glue_spherex.extras import how_to_install

from .answer_tables import parse_answer
from .answers import images_of, listed_collections
from .errors import AnswerTooLarge, ArchiveError

#: `obscore` tells the address of a page of links; the path of the file is that of the artifact.
_TAP_COLUMNS = (
    "o.obs_collection", "a.uri AS access_url", "o.t_min", "o.t_max", "o.s_region", "o.obs_publisher_did",
    "o.access_estsize",
)  # fmt: skip
_TAP_TABLES = (
    "spherex.obscore o JOIN spherex.plane p ON o.obs_publisher_did = p.obs_publisher_did "
    "JOIN spherex.artifact a ON p.planeid = a.planeid"
)


def ask_sia(client, circle, collections, cancelled=None):
    """Images that touch a circle, from Simple Image Access (IVOA SIA 2.0).

    Parameters
    ----------
    client : ArchiveClient
    circle : SkyCircle
    collections : sequence of str
        A request is made for each of them.
    cancelled : callable, optional

    Returns
    -------
    images : list of ArchiveImage
    rejected : list of (int, str)
        Rows that are no usable image, and why.

    Raises
    ------
    ArchiveError
        If the service does not answer, or not with all images.
    """
    query = _pyvo("sia2").SIA2Query
    images, rejected = [], []
    for collection in collections:
        parameters = query(
            client.settings.sia, pos=(circle.ra, circle.dec, circle.radius), collection=collection,
            maxrec=client.settings.max_rows, RESPONSEFORMAT="VOTABLE",
        )  # fmt: skip
        answer = client.ask(client.settings.sia, dict(parameters), cancelled=cancelled)
        some, bad = _images(answer, client.settings, client.settings.sia, [collection])
        images += some
        rejected += bad
    return images, rejected


def ask_tap(client, circle, collections, cancelled=None, newer_than=None):
    """Images that touch a circle, from Table Access (IVOA TAP 1.1): one request for all collections.

    Results, errors and the other parameters are those of `ask_sia`.

    Parameters
    ----------
    newer_than : dict of str to float, optional
        MJD after which images of a collection must have begun.
    """
    settings = client.settings
    since = (newer_than or {}).items()
    newer = "".join(f" AND (o.obs_collection <> '{name}' OR o.t_min > {mjd})" for name, mjd in since)
    names = ", ".join(f"'{name}'" for name in collections)
    query = _pyvo("tap").TAPQuery(
        settings.tap,
        f"SELECT {', '.join(_TAP_COLUMNS)} FROM {_TAP_TABLES} WHERE o.obs_collection IN ({names}) AND "
        f"INTERSECTS(CIRCLE('ICRS', {circle.ra}, {circle.dec}, {circle.radius}), o.s_region) = 1{newer}",
        maxrec=settings.max_rows,
    )
    answer = client.ask(query.queryurl, dict(query), post=True, cancelled=cancelled)
    return _images(answer, settings, settings.tap, collections)


def ask_collections(client, cancelled=None):
    """Names of all collections of SPHEREx's Level-2 images that Simple Image Access lists."""
    parameters = {"MAXREC": "0", "RESPONSEFORMAT": "VOTABLE"}
    return listed_collections(client.ask(client.settings.sia, parameters, cancelled=cancelled), client.settings.sia)


def _images(answer, settings, where, collections):
    table = parse_answer(answer, where, settings.max_rows)
    if not table.complete:
        raise AnswerTooLarge(f"{where}: the answer was cut after {table.n_rows} images; ask for fewer targets at once.")
    images, rejected = images_of(table, settings.ibe, collections)
    if rejected and not images:
        raise ArchiveError(
            f"{where}: none of the {len(rejected)} images of the answer can be used. The first: {rejected[0][1]}."
        )
    return images, rejected


def _pyvo(module):
    from importlib import import_module

    try:
        return import_module(f"pyvo.dal.{module}")
    except ImportError as error:
        raise ArchiveError(
            f"the archive cannot be searched without pyvo ({error}): {how_to_install('archive')}."
        ) from error
