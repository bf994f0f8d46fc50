"""One panel of the page: an image at its place on the sky, with everything drawn over it."""

from itertools import pairwise

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.image import AxesImage
from matplotlib.patches import Circle, Rectangle
from matplotlib.transforms import Affine2D, ScaledTranslation

from ...model import Flag
from ...photometry.quality import RADIUS_PX
from ..focus import FOCUS_COLOUR
from .brightness import colours_of
from .layout import FONT_PT, LINE_SPACING, elided, wrapped
from .mask_layers import mask_overlay, under_mask
from .measured_row import title_lines

TARGET_COLOUR, SOURCES_COLOUR, CATALOGUE_COLOUR = "#00d5ff", "#ffd43b", "#ff6bd6"
_EMPTY_COLOUR, _HATCH_COLOUR = "#c9ccd1", "#aeb2b9"
_BUTTON_TEXT_COLOUR = "white"
_BUTTON = {"boxstyle": "round,pad=0.45", "facecolor": "#1c6fd1", "edgecolor": "#0f4c94", "linewidth": 0.8}
_OVER_IMAGE = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
_BUTTON_LINES, _SENTENCE_FROM_PX = 3.2, 100
_OUTLINE = [patheffects.withStroke(linewidth=2.2, foreground="black", alpha=0.75)]
#: x and y of four arms around the target with a gap in the middle, in image pixels; NaN between the arms.
_CROSS_HAIRS_PX = np.transpose(
    [(dx * d, dy * d) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)) for d in (1.5, 4.0, np.nan)]
)
_LENGTHS_ARCSEC = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_PERCENT_OF_SIDE = 0.36


class Panel:
    """A panel; its artists are made once and changed ever after.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    """

    def __init__(self, figure):
        self.axes = axes = figure.add_axes((0, 0, 1, 1))
        axes.set_autoscale_on(False)
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)
        axes.set_facecolor(_EMPTY_COLOUR)
        axes.patch.set(hatch="////", edgecolor=_HATCH_COLOUR, linewidth=0)
        self.row = None  # MeasuredRow
        self.view = None  # CutoutView, with pixels
        self.problem = ""  # why there are none
        self.to_fetch = False  # whether the archive may have what is missing
        self.status = ""  # what is done about it, or why that failed
        self.busy = False  # whether it is done now
        self.focused = False
        self.cell = None  # Bbox of panel and texts, pixels
        self.pixels_to_plane = Affine2D()
        self._to_screen = self.pixels_to_plane + axes.transData
        self.limits = 0.0, 1.0  # of the brightness, MJy/sr
        self._pixels = self._colours = None
        self.image = self._image()
        self._texts()
        self._marks()
        self.empty()

    def _image(self):
        image = AxesImage(self.axes, interpolation="nearest", origin="lower", zorder=1)
        image.set_data(np.zeros((1, 1, 4), np.uint8))
        image.set_transform(self._to_screen)
        image.set_clip_path(self.axes.patch)
        self.axes.add_artist(image)
        return image

    def _texts(self):
        axes, figure = self.axes, self.axes.figure
        up = ScaledTranslation(0, 4 / 72, figure.dpi_scale_trans)
        down = ScaledTranslation(0, -3 / 72, figure.dpi_scale_trans)
        style = {"fontsize": FONT_PT, "parse_math": False}
        self.title = axes.text(0, 1, "", va="bottom", linespacing=LINE_SPACING, transform=axes.transAxes + up, **style)
        self.caption = axes.text(0, 0, "", va="top", color="0.3", transform=axes.transAxes + down, **style)
        self.message = axes.text(
            0.5, 0.5, "", ha="center", va="center", linespacing=1.3, zorder=9, transform=axes.transAxes, **style
        )
        self.button = axes.text(0.5, 0, "", ha="center", va="bottom", zorder=9, color=_BUTTON_TEXT_COLOUR,
                                transform=axes.transAxes + ScaledTranslation(0, 12 / 72, figure.dpi_scale_trans),
                                bbox=_BUTTON, **style)  # fmt: skip
        self.button.set_visible(False)

    def _marks(self):
        axes, on_pixels = self.axes, self._to_screen
        outlined = {"path_effects": _OUTLINE, "zorder": 5}
        self.target = axes.plot([], [], "-", color=TARGET_COLOUR, lw=1.3, **outlined)[0]
        self.sources = axes.plot([], [], "x", color=SOURCES_COLOUR, ms=7, mew=1.5, transform=on_pixels, **outlined)[0]
        self.catalogue = axes.plot([], [], "+", color=CATALOGUE_COLOUR, ms=9, mew=1.5, transform=on_pixels, **outlined)[
            0
        ]
        self.aperture = Circle((0, 0), RADIUS_PX, fill=False, ec=TARGET_COLOUR, lw=1.1, transform=on_pixels, zorder=4)
        self.box = Rectangle((0, 0), 1, 1, fill=False, ec="#94d82d", lw=1.3, ls="--", transform=on_pixels, zorder=4)
        for patch in (self.aperture, self.box):
            axes.add_patch(patch)
            patch.set_clip_path(axes.patch)
        self.subsets = LineCollection([], linewidths=7, transform=axes.transAxes, zorder=8, capstyle="butt")
        axes.add_collection(self.subsets)
        inside = {"transform": axes.transAxes, "zorder": 7, "path_effects": _OUTLINE, "color": "white"}
        self.scale = axes.plot([], [], "-", lw=2, solid_capstyle="butt", **inside)[0]
        self.arrows = axes.plot([], [], "-", lw=1.5, **inside)[0]
        text = {**inside, "fontsize": FONT_PT, "ha": "center", "va": "center"}
        self.scale_text, self.north, self.east = (axes.text(0, 0, "", **text) for _ in range(3))

    # -- content -------------------------------------------------------------------------------------------------------

    def place(self, corner, side, figure_size):
        """Put the panel on the page: lower left corner, side and size of the figure, in pixels."""
        width, height = figure_size
        self.axes.set_position((corner[0] / width, corner[1] / height, side / width, side / height))
        self.axes.set_visible(True)

    def hide(self):
        """Take the panel off the page."""
        self.axes.set_visible(False)
        self.row = self.view = None
        self.problem = self.status = ""
        self.offer("")

    def empty(self, message="", to_fetch=False):
        """Show no image, but perhaps a sentence; and remember whether the archive may have it."""
        self.view, self.to_fetch = None, to_fetch
        for artist in (self.image, self.target, self.sources, self.catalogue, self.aperture, self.box):
            artist.set_visible(False)
        self.say(message)
        self.caption.set_text("")
        self.compass(False)

    def say(self, message):
        """A sentence about what is missing in the middle of the panel, or what is done about it."""
        self.problem = message
        self._tell()

    def _tell(self):
        """Lines that fit; a panel that is too small for a sentence and a button has the button alone."""
        box, line = self.axes.bbox, FONT_PT * self._dpi / 72 * 1.3
        offered = self.button.get_visible()
        room = int((box.height - (_BUTTON_LINES * line if offered else 0)) / line) - 1
        text = self.status or self.problem if self.view is None or self.busy else ""
        text = self._without_name(text)
        fits = box.width > (_SENTENCE_FROM_PX if offered else 0)
        self.message.set_text(wrapped(text, box.width - 14, FONT_PT, self._dpi, max(room, 1)) if text and fits else "")
        self.message.set_y(0.5 + (_BUTTON_LINES / 2 * line / box.height if offered else 0))
        self.message.set_bbox(_OVER_IMAGE if self.view is not None and text else None)

    def _without_name(self, text):
        """The sentence without the image's name in front: the lines above say of which image it is."""
        name = f"{self.row.image_name}: " if self.row is not None else ""
        return text[len(name) :][:1].upper() + text[len(name) + 1 :] if name and text.startswith(name) else text

    def offer(self, label, status="", busy=False):
        """Offer to do something about what is missing.

        Parameters
        ----------
        label : str
            On the button at the lower edge; '' for none.
        status : str
            Shown instead of the reason why the image is missing.
        busy : bool
            Whether something is done about it now, which is shown over an image as well.

        Returns
        -------
        bool
            Whether anything changed.
        """
        before = self.button.get_text(), self.status
        self.button.set_text(label)
        self.button.set_visible(bool(label))
        self.status, self.busy = status, busy
        if before != (label, status):
            self._tell()
        return before != (label, status)

    def on_button(self, x, y):
        """Whether a point of the figure, in pixels, is on the button."""
        if not self.button.get_visible() or not self.axes.get_visible():
            return False
        return self.button.get_bbox_patch().get_window_extent().contains(x, y)

    def write(self, lines, width, caption=None):
        """The lines above the panel, each cut to `width` pixels, and the one below."""
        self.title.set_text("\n".join(elided(line, width, FONT_PT, self._dpi) for line in lines))
        if caption is not None:
            self.caption.set_text(elided(caption, width, FONT_PT, self._dpi))

    @property
    def _dpi(self):
        return self.axes.figure.dpi

    def put(self, view, image, orientation):
        """Show the pixels of a view.

        Parameters
        ----------
        view : CutoutView
        image : ndarray, shape (ny, nx), MJy/sr
            What is drawn of it.
        orientation : {"north", "detector"}
        """
        self.view, self._pixels, self.to_fetch = view, image, view.to_fetch
        ny, nx = image.shape
        self.pixels_to_plane.set_matrix(view.offsets(orientation))
        self.image.set_extent((-0.5, nx - 0.5, -0.5, ny - 0.5))
        self.image.set_visible(True)
        self.say("")

    def put_brightness(self, limits, stretch, colour_map):
        """Limits in MJy/sr, stretch and the name of the colour map; `put_mask` then draws it."""
        self.limits = limits
        self._colours = colours_of(self._pixels, limits, stretch, colour_map)

    def put_mask(self, bits, alpha):
        """Draw the image with the flags of its pixels over it.

        Parameters
        ----------
        bits : int
            The flags shown, as a bitmask; 0 for none.
        alpha : float
            Opacity, 0 to 1.
        """
        if bits and alpha > 0:
            self.image.set_data(under_mask(self._colours, mask_overlay(self.view.flags, bits, alpha)))
        else:
            self.image.set_data(self._colours)

    def put_marks(self, *, target, aperture, box_px, sources, catalogue):
        """Cross hairs and outlines, in pixels of the view.

        Parameters
        ----------
        target, aperture : bool
        box_px : int
            Side of the background box; 0 for none.
        sources, catalogue : (ndarray, ndarray)
            x and y.
        """
        x, y = self.view.target
        self.target.set_data(*_CROSS_HAIRS_PX * self.view.pixel_scale)
        self.target.set_visible(target)
        self.aperture.set_center((x, y))
        self.aperture.set_visible(aperture)
        corner = np.ceil(np.array([x, y]) - box_px / 2) - 0.5  # of the pixels whose centres are inside
        self.box.set_bounds(*corner, box_px, box_px)
        self.box.set_visible(box_px > 0)
        for artist, positions in ((self.sources, sources), (self.catalogue, catalogue)):
            artist.set_data(*positions)
            artist.set_visible(len(positions[0]) > 0)

    def mark_subsets(self, colours):
        """Strips along the lower edge, one for each subset that the row belongs to."""
        edges = np.linspace(0, 1, len(colours) + 1)
        self.subsets.set_segments([[(low, 0.014), (high, 0.014)] for low, high in pairwise(edges)])
        self.subsets.set_color(colours or ["none"])

    def outline(self, focused):
        """A strong frame around the focused panel, a thin one around the others."""
        for spine in self.axes.spines.values():
            spine.set(color=FOCUS_COLOUR if focused else "0.45", linewidth=4.0 if focused else 0.8, zorder=10)

    def limit(self, middle_x, middle_y, half, orientation):
        """What is seen: a square around a point, arcsec; East is left where north is up."""
        sign = -1 if orientation == "north" else 1
        self.axes.set_xlim(middle_x - sign * half, middle_x + sign * half)
        self.axes.set_ylim(middle_y - half, middle_y + half)

    def compass(self, shown, orientation="north"):
        """Scale bar, and the directions of North and East."""
        shown = shown and self.view is not None
        if not shown and not self.scale.get_visible():
            return
        for artist in (self.scale, self.scale_text, self.arrows, self.north, self.east):
            artist.set_visible(bool(shown))
        if not shown:
            return
        side = abs(np.diff(self.axes.get_xlim())[0])
        length = max((value for value in _LENGTHS_ARCSEC if value <= _PERCENT_OF_SIDE * side), default=1)
        self.scale.set_data([0.05, 0.05 + length / side], [0.07, 0.07])
        self.scale_text.set_text(f"{length}″" if length < 60 else f"{length // 60}′")
        self.scale_text.set_position((0.05 + length / side / 2, 0.115))
        east, north = _directions(self.view, orientation)
        reach = 0.10
        corners = np.array([np.zeros(2), east, north]) * reach
        start = np.array([0.86, 0.14]) - (corners.min(axis=0) + corners.max(axis=0)) / 2
        ends = start + reach * east, start + reach * north
        self.arrows.set_data(*np.transpose([ends[1], start, ends[0]]))
        for text, letter, way in ((self.east, "E", east), (self.north, "N", north)):
            text.set_text(letter)
            text.set_position(start + 1.42 * reach * way)

    # -- questions -----------------------------------------------------------------------------------------------------

    def about(self):
        """Everything about the row, uncut: str of several lines."""
        lines = [*title_lines(self.row), self.row.image_name, self.problem, self.status]
        if self.view is not None:
            lines += [self.view.path, self.view.note]
        return "\n".join(line for line in lines if line)

    def sky_at(self, x, y):
        """The place on the sky below a point, (ra, dec) in deg; None where there is no image.

        Parameters
        ----------
        x, y : float, arcsec
            In the panel's own coordinates.
        """
        if self.view is None or x is None:
            return None
        column, row = self.pixels_to_plane.inverted().transform((x, y))
        ra, dec = self.view.astrometry.to_sky(column + self.view.x0, row + self.view.y0)
        return (float(ra) % 360, float(dec)) if np.isfinite(ra) and np.isfinite(dec) else None

    def describe(self, x, y):
        """What lies under a point.

        Parameters
        ----------
        x, y : float, arcsec
            In the panel's own coordinates.

        Returns
        -------
        str
            Detector pixel (0-based), brightness as it is drawn, and flags; '' where there is no image.
        """
        if self.view is None or x is None:
            return ""
        column, row = np.round(self.pixels_to_plane.inverted().transform((x, y))).astype(int)
        ny, nx = self.view.shape
        if not (0 <= column < nx and 0 <= row < ny):
            return "not on the image"
        value = self._pixels[row, column]
        names = ", ".join(Flag.decode(int(self.view.flags[row, column]))) or "no flag"
        brightness = f"{value:.5g} MJy/sr" if np.isfinite(value) else "no value"
        return f"x {self.view.x0_det + column}, y {self.view.y0_det + row} · {brightness} · {names}"


def _directions(view, orientation):
    """Unit vectors on the screen towards East and North."""
    if orientation == "north":
        return np.array([-1.0, 0.0]), np.array([0.0, 1.0])
    inverse = np.linalg.inv(view.cd)
    return tuple(inverse[:, axis] / np.linalg.norm(inverse[:, axis]) for axis in (0, 1))
