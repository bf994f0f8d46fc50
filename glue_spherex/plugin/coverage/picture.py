"""The picture behind a view of the sky: a part of a HiPS, drawn by a service for exactly this view.

Hierarchical Progressive Surveys are described in the IVOA Recommendation HiPS 1.0; the service takes a WCS as the JSON
of its cards and answers with an image.
"""

import io
import json
from dataclasses import dataclass, replace

import numpy as np

from ...images.archive.errors import ArchiveError


@dataclass(frozen=True, eq=False)
class SkyPicture:
    """A picture of the sky.

    Parameters
    ----------
    view : SkyView
        What it shows, pixel by pixel.
    hips : str
        Name of the survey it was made of.
    pixels : ndarray of uint8, shape (ny, nx, 3)
        The first row is the uppermost.
    """

    view: object
    hips: str
    pixels: np.ndarray


def picture_view(view, most_pixels):
    """The view that is asked for: the same, with fewer pixels if there are too many.

    Parameters
    ----------
    view : SkyView
    most_pixels : int
        Of the longer side.

    Returns
    -------
    SkyView
    """
    shrink = min(1.0, most_pixels / max(view.nx, view.ny))
    return replace(view, nx=max(round(view.nx * shrink), 1), ny=max(round(view.ny * shrink), 1))


def request_parameters(view, hips):
    """What the service is asked.

    Parameters
    ----------
    view : SkyView
    hips : str

    Returns
    -------
    dict of str to str
    """
    cards = {"NAXIS1": view.nx, "NAXIS2": view.ny, **view.wcs.to_header()}
    return {"hips": hips, "wcs": json.dumps(cards), "format": "jpg"}


def fetch_picture(client, view, hips, cancelled=None):
    """Ask for the picture of a view.

    Parameters
    ----------
    client : ArchiveClient
        With `SkySettings`.
    view : SkyView
    hips : str
        Name of the HiPS, as ``CDS/P/2MASS/color``.
    cancelled : callable, optional

    Returns
    -------
    SkyPicture

    Raises
    ------
    ArchiveError
        If there is none; the message says why.
    """
    settings = client.settings
    if not settings.hips2fits:
        raise ArchiveError("the settings name no service with pictures of the sky.")
    view = picture_view(view, settings.most_pixels)
    data = client.ask(settings.hips2fits, request_parameters(view, hips), cancelled=cancelled)
    return SkyPicture(view, hips, read_picture(data, (view.nx, view.ny), settings.hips2fits))


def read_picture(data, size, where):
    """The pixels of an answer.

    Parameters
    ----------
    data : bytes
        A JPEG or PNG file.
    size : (int, int)
        Width and height that it must have.
    where : str
        Address, for the messages.

    Returns
    -------
    ndarray of uint8, shape (ny, nx, 3)

    Raises
    ------
    ArchiveError
        If it is anything else, or damaged.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.size != tuple(size):
                raise ArchiveError(
                    f"{where}: the picture has {image.width} x {image.height} pixels; {size[0]} x {size[1]} were "
                    "asked for."
                )
            return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as error:
        begin = " ".join(data[:60].decode("ascii", "replace").split())
        raise ArchiveError(f"{where}: the answer is no picture; it begins {begin!r}.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ArchiveError(f"{where}: the picture is damaged ({error}).") from error


def shifted_extent(picture, view):
    """Where an older picture belongs in a view, roughly: until the new one is there.

    Parameters
    ----------
    picture : SkyPicture
    view : SkyView

    Returns
    -------
    (float, float, float, float) or None
        Left, right, bottom and top in pixels of the view; None where it would be wrong.
    """
    old = picture.view
    same = (old.ra, old.dec, old.all_sky) == (view.ra, view.dec, view.all_sky)
    if view.all_sky or old.all_sky:
        if not same:
            return None
    elif not same and max(old.width_deg, view.width_deg) > 30:
        return None
    x, y = view.pixels(old.ra, old.dec)
    if not np.isfinite(x):
        return None
    half_width = old.width_deg / view.scale_deg / 2
    half_height = half_width * old.ny / old.nx
    return x - half_width, x + half_width, y - half_height, y + half_height
