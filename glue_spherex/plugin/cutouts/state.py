"""What the cutout viewer shows, as a state that sessions keep."""

from math import ceil

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty
from glue.viewers.common.state import ViewerState
from glue.viewers.matplotlib.state import MatplotlibLayerState

from ...model.detectors import PIXEL_SCALE_ARCSEC
from ..columns import background_box_px
from ..row_order import ORDERS, ordered_rows
from .mask_layers import DEFAULT_BITS
from .reading import LARGEST_ARCMIN

NUMBERS = (1, 3, 5, 7, 9, 15, 25)
ORIENTATIONS = {"north": "north up", "detector": "as on the detector"}
STRETCHES = ("linear", "sqrt", "asinh", "log")
LIMITS = {"each": "of each cutout", "common": "common to all", "fixed": "as given"}
BACKGROUNDS = {"none": "nothing", "local": "the row's flux_bkg", "zodi": "the zodiacal light (ZODI)"}
COLOUR_MAPS = ("gray", "gray_r", "viridis", "magma", "inferno", "cividis", "plasma", "cubehelix")
SMALLEST_ARCMIN = 0.2


class CutoutViewerState(ViewerState):
    """State of the cutout viewer; everything in it is kept in sessions.

    Attributes
    ----------
    focus_data : glue.core.Data or None
        Dataset of the row that is looked at.
    focus_row : int or None
        0-based; its cutout is outlined.
    n_cutouts : {1, 3, 5, 7, 9, 15, 25}
    order : {"wavelength", "time"}
        Of the rows around it.
    size_arcmin : float
        Side of a cutout, 0.2 to 30.
    orientation : {"north", "detector"}
        North up and East left, or x to the right and y up on the detector.
    wcs_locked : bool
        Whether all cutouts are panned and zoomed together.
    view : list of float or None
        Middle (two numbers) and half side of what is seen, arcsec from the target; None for the whole cutout.
    stretch : {"linear", "sqrt", "asinh", "log"}
    limits : {"each", "common", "fixed"}
        Where the limits of the brightness come from.
    percentile : float
        Per cent of the pixels between the limits' upper end and everything below, above 50 and up to 100.
    vmin, vmax : float, MJy/sr
        The limits when they are fixed.
    cmap : str
        Name of a Matplotlib colour map.
    background : {"none", "local", "zodi"}
        What is subtracted before drawing.
    show_target, show_sources, show_aperture, show_box, show_compass : bool
        Cross hairs at the target; the other sources of the table; the circle of 2.5 pixels in which flags count; the
        box of the local background; scale bar and directions.
    catalogue : glue.core.Data or None
        A dataset whose positions are shown.
    show_mask : bool
        Whether flags are shown at all.
    mask_bits : int
        Which flags are shown.
    mask_alpha : float
        Opacity of the mask, 0 to 1.
    """

    focus_data = CallbackProperty(None, docstring="Dataset of the row that is looked at")
    focus_row = CallbackProperty(None, docstring="Row that is looked at, 0-based")
    n_cutouts = SelectionCallbackProperty(default_index=2, docstring="How many cutouts are shown")
    order = SelectionCallbackProperty(default_index=0, docstring="Order of the cutouts")
    size_arcmin = CallbackProperty(1.2, docstring="Side of a cutout, arcmin")
    orientation = SelectionCallbackProperty(default_index=0, docstring="What points up")
    wcs_locked = CallbackProperty(True, docstring="Pan and zoom all cutouts together")
    view = CallbackProperty(None, docstring="Middle and half side of what is seen, arcsec; None for everything")
    stretch = SelectionCallbackProperty(default_index=2, docstring="From brightness to grey")
    limits = SelectionCallbackProperty(default_index=0, docstring="Limits of the brightness")
    percentile = CallbackProperty(99.5, docstring="Per cent of the pixels below the upper limit")
    vmin = CallbackProperty(0.0, docstring="Lower limit, MJy/sr")
    vmax = CallbackProperty(1.0, docstring="Upper limit, MJy/sr")
    cmap = SelectionCallbackProperty(default_index=0, docstring="Colour map")
    background = SelectionCallbackProperty(default_index=0, docstring="What is subtracted")
    show_target = CallbackProperty(True, docstring="Cross hairs at the target")
    show_sources = CallbackProperty(True, docstring="Positions of the table's other sources")
    show_aperture = CallbackProperty(True, docstring="Circle of 2.5 pixels")
    show_box = CallbackProperty(False, docstring="Box of the local background")
    show_compass = CallbackProperty(True, docstring="Scale bar and directions")
    catalogue = CallbackProperty(None, docstring="Dataset whose positions are shown")
    show_mask = CallbackProperty(True, docstring="Show flags")
    mask_bits = CallbackProperty(DEFAULT_BITS, docstring="Flags shown, as a bitmask")
    mask_alpha = CallbackProperty(0.75, docstring="Opacity of the mask, 0 to 1")

    def __init__(self, **kwargs):
        super().__init__()
        for name, choices, words in (
            ("n_cutouts", NUMBERS, {}),
            ("order", tuple(ORDERS), {}),
            ("orientation", tuple(ORIENTATIONS), ORIENTATIONS),
            ("stretch", STRETCHES, {}),
            ("limits", tuple(LIMITS), LIMITS),
            ("cmap", COLOUR_MAPS, {}),
            ("background", tuple(BACKGROUNDS), BACKGROUNDS),
        ):
            prop = getattr(type(self), name)
            prop.set_choices(self, list(choices))
            prop.set_display_func(self, lambda value, words=words: words.get(value, str(value)))
        self.update_from_dict(kwargs)

    @property
    def half_arcsec(self):
        """Half the side of a whole cutout."""
        return 30.0 * self.allowed_size

    @property
    def allowed_size(self):
        """The size, arcmin, moved into the range that is allowed."""
        try:
            size = float(self.size_arcmin)
        except (TypeError, ValueError):
            return 1.2
        return float(np.clip(size, SMALLEST_ARCMIN, LARGEST_ARCMIN)) if np.isfinite(size) else 1.2

    @property
    def allowed_percentile(self):
        """The percentile, moved into the range that is allowed; 99.5 where it is no number."""
        try:
            percentile = float(self.percentile)
        except (TypeError, ValueError):
            return 99.5
        return float(np.clip(percentile, 50.1, 100.0)) if np.isfinite(percentile) else 99.5

    @property
    def fixed_limits(self):
        """`vmin` and `vmax` as numbers, the lower one first; 0 and 1 where they are not numbers."""
        try:
            low, high = sorted((float(self.vmin), float(self.vmax)))
        except (TypeError, ValueError):
            return 0.0, 1.0
        return (low, high if high > low else low + 1e-6) if np.isfinite([low, high]).all() else (0.0, 1.0)

    @property
    def box_note(self):
        """A sentence where the box of the background is wanted but larger than the cutouts; '' otherwise."""
        if not self.show_box or self.focus_data is None or self.focus_row is None or self.view is not None:
            return ""
        px = background_box_px(self.focus_data)
        if px * PIXEL_SCALE_ARCSEC < 2 * self.half_arcsec:
            return ""
        turned = 1.0 if self.orientation == "detector" else 2**0.5
        arcmin = ceil(px * turned * PIXEL_SCALE_ARCSEC / 6) / 10
        return f"The background's box of {px} pixels is larger than the cutouts; a size of {arcmin:g} arcmin shows it."

    def reset_limits(self):
        """See whole cutouts again."""
        self.view = None

    def shown_rows(self):
        """The rows whose cutouts are shown, in order; the focused one is in the middle, except near the ends.

        Returns
        -------
        list of int
        """
        data, row = self.focus_data, self.focus_row
        if data is None or row is None or not 0 <= row < data.size:
            return []
        rows = ordered_rows(data, row, self.order)
        place = np.flatnonzero(rows == row)
        if not place.size:  # without wavelength or time it stands alone
            return [int(row)]
        start = int(np.clip(place[0] - self.n_cutouts // 2, 0, max(rows.size - self.n_cutouts, 0)))
        return rows[start : start + self.n_cutouts].tolist()

    @property
    def page_step(self):
        """Rows to step for the next page."""
        return max(self.n_cutouts, 1)


class CutoutLayerState(MatplotlibLayerState):
    """A dataset whose rows can be shown, or a subset that marks the cutouts of its rows."""
