"""Where the targets of a measurement come from."""

from echo import CallbackProperty, SelectionCallbackProperty, delay_callback
from glue.core import Data, Subset
from glue.core.state_objects import State
from glue.core.subset_group import SubsetGroup

from ...io import TargetListError
from ...io.errors import MissingColumnsError
from ..columns import kind_of
from ..dialogs import offer
from .layers import has_rows, is_made_on
from .regions import is_image_region, targets_of_region
from .table_columns import columns_of
from .target_lists import guessed_columns, targets_of_file, targets_of_layer, targets_of_name, targets_of_text

HOW_WORDS = {
    "layer": "a dataset or subset",
    "region": "a region in an image",
    "text": "coordinates",
    "name": "an object's name",
    "file": "a file",
    "job": "the targets of a job",
}
PART_WORDS = {"centre": "its centre", "pixels": "the centres of its pixels"}
#: What a column can be, in words.
ROLES = {
    "ra": "right ascension",
    "dec": "declination",
    "name": "name",
    "sersic_n": "Sérsic index",
    "r_eff": "half-light radius",
    "axis_ratio": "axis ratio",
    "position_angle": "position angle",
    "pmra": "motion in RA",
    "pmdec": "motion in dec",
    "ref_epoch": "epoch of the position",
    "role": "target or companion",
}
SHAPE_ROLES = ("sersic_n", "r_eff", "axis_ratio", "position_angle")
OTHER_ROLES = ("pmra", "pmdec", "ref_epoch", "role")


class TargetChoice(State):
    """Which targets: those of a dataset, subset, region, text, name, file, or of an older job.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    layers : sequence of Data, Subset or SubsetGroup, optional
        Start with the first one.

    Attributes
    ----------
    found : Targets or None
        What the name of the object was resolved to.
    given : Targets or None
        The targets of an older job.
    given_by : str
        Id of that job.
    """

    how = SelectionCallbackProperty(docstring="where the targets come from")
    layer = SelectionCallbackProperty(docstring="dataset or subset")
    region = SelectionCallbackProperty(docstring="region in an image")
    region_part = SelectionCallbackProperty(docstring="what of the region is measured")
    text = CallbackProperty("", docstring="coordinates, one target in a line")
    name = CallbackProperty("", docstring="name of an object")
    file = CallbackProperty("", docstring="path of a table")
    found = CallbackProperty(None, docstring="what the name stands for")
    ra_column = SelectionCallbackProperty()
    dec_column = SelectionCallbackProperty()
    name_column = SelectionCallbackProperty()
    sersic_n_column = SelectionCallbackProperty()
    r_eff_column = SelectionCallbackProperty()
    axis_ratio_column = SelectionCallbackProperty()
    position_angle_column = SelectionCallbackProperty()
    pmra_column = SelectionCallbackProperty()
    pmdec_column = SelectionCallbackProperty()
    ref_epoch_column = SelectionCallbackProperty()
    role_column = SelectionCallbackProperty()

    def __init__(self, data_collection, layers=()):
        super().__init__()
        self.data_collection = data_collection
        self.given = None
        self._of_columns = None  # whose columns are offered
        self.given_by = ""
        TargetChoice.how.set_display_func(self, self._how_text)
        TargetChoice.layer.set_display_func(self, layer_text)
        TargetChoice.region.set_display_func(self, layer_text)
        TargetChoice.region_part.set_choices(self, list(PART_WORDS))
        TargetChoice.region_part.set_display_func(self, PART_WORDS.get)
        for role in ROLES:
            getattr(TargetChoice, f"{role}_column").set_display_func(
                self, lambda label: "—" if label is None else label
            )
        self._offer_how()
        self.refresh()
        self._start_with(layers)
        self._refresh_columns()
        for attribute in ("how", "layer", "file"):
            self.add_callback(attribute, self._refresh_columns)
        self.add_callback("name", self._forget_found)

    # what is offered

    def refresh(self):
        """Offer the datasets, subsets and regions that there are now.

        Returns
        -------
        str
            A sentence if what was chosen is gone; else ''.
        """
        before = {"layer": self.layer, "region": self.region}
        offer(self, "layer", table_layers(self.data_collection))
        offer(self, "region", image_regions(self.data_collection))
        if self._of_columns is not None:
            self._refresh_columns()
        gone = before.get(self.how)
        if gone is None or gone in type(self).__dict__[self.how].get_choices(self):
            return ""
        return f"{layer_text(gone)} was removed."

    def _start_with(self, layers):
        layer = _table_or_region(layers[0]) if layers else _likely(self.layers)
        if layer in TargetChoice.region.get_choices(self):
            self.how, self.region = "region", layer
        elif layer in self.layers:
            self.how, self.layer = "layer", layer
        elif layer is not None and layer.data.ndim == 2:
            self.how = "region"  # there is none in this image; `missing` says so
        elif not self.layers:
            self.how = "text"

    @property
    def layers(self):
        """Datasets and subsets that can be chosen."""
        return TargetChoice.layer.get_choices(self)

    def _how_text(self, how):
        return f"the targets of job {self.given_by}" if how == "job" and self.given_by else HOW_WORDS[how]

    def _offer_how(self):
        offer(self, "how", [how for how in HOW_WORDS if how != "job" or self.given is not None])

    @property
    def has_columns(self):
        """Whether the targets come from a table whose columns can be chosen."""
        if self.how == "file":
            return True
        return self.how == "layer" and self.layer is not None and kind_of(self.layer.data) != "spectrum"

    def _refresh_columns(self, *args):
        if self.how == "file" and self._of_columns == ("file", self.file.strip()):
            return  # the file is not read again
        whose, labels, guess = self._columns_at_hand()
        fresh = whose != self._of_columns
        self._of_columns = whose
        names = [f"{role}_column" for role in ROLES]
        with delay_callback(self, *names):
            for role, name in zip(ROLES, names):
                offer(self, name, [None, *labels])
                if fresh:
                    setattr(self, name, guess.get(role) if guess.get(role) in labels else None)

    def _columns_at_hand(self):
        """Whose columns can be chosen (something to compare), their labels, and what they are likely to be."""
        if not self.has_columns:
            return ("", None), [], {}
        if self.how == "file":
            path = self.file.strip()
            try:
                targets = targets_of_file(path)
                return ("file", path), list(targets.table.colnames), dict(targets.columns)
            except MissingColumnsError as error:
                return ("file", path), list(error.columns), {}
            except TargetListError:  # told by `targets`
                return ("file", path), [], {}
        data = self.layer.data
        return ("layer", data.uuid), [column.name for column in columns_of(data)], guessed_columns(data)

    # what is chosen

    @property
    def columns(self):
        """Column of each role: dict of str to str or None."""
        return {role: getattr(self, f"{role}_column") for role in ROLES}

    def missing(self):
        """What must be given still: dict of field to sentence."""
        sentences = {
            "layer": "Choose a dataset or subset with positions; there is none yet.",
            "region": "Select a region in an image with sky coordinates; there is none yet.",
            "text": "Type or paste coordinates, one target in a line.",
            "name": "Type the name of an object.",
            "file": "Name a file with targets.",
        }
        value = getattr(self, self.how, True)
        if value is None or (isinstance(value, str) and not value.strip()):
            return {self.how: sentences[self.how]}
        if self.how == "name" and self.found is None:
            return {"name": f"Look up {self.name.strip()[:60]}: press Enter, or the button beside it."}
        some = len(TargetChoice.ra_column.get_choices(self)) > 1  # else `targets` says why there are none
        if self.has_columns and some and None in (self.ra_column, self.dec_column):
            return {"ra_column" if self.ra_column is None else "dec_column": "Choose the columns of the position."}
        return {}

    def targets(self):
        """The targets that are chosen.

        Returns
        -------
        Targets

        Raises
        ------
        TargetListError
            If there are none; says why.
        """
        missing = self.missing()
        if missing:
            raise TargetListError(next(iter(missing.values())))
        if self.how == "layer":
            return targets_of_layer(self.layer, self.columns if self.has_columns else None)
        if self.how == "region":
            return targets_of_region(self.region, self.region_part)
        if self.how == "file":
            return targets_of_file(self.file.strip(), self.columns)
        return {"text": lambda: targets_of_text(self.text), "name": lambda: self.found, "job": lambda: self.given}[
            self.how
        ]()

    # names of objects

    @staticmethod
    def resolve(name):
        """Find out what the name of an object stands for, and wait for the answer; see `targets_of_name`."""
        return targets_of_name(name)

    def _forget_found(self, *args):
        self.found = None

    # from a job

    def give(self, targets, job_id=""):
        """Choose the targets of an older job.

        Parameters
        ----------
        targets : Targets
        job_id : str, optional
            Of the job, to say so.
        """
        self.given, self.given_by = targets, job_id
        self._offer_how()
        self.how = "job"


def layer_text(layer):
    """A dataset or subset in words."""
    if layer is None:
        return ""
    return f"{layer.label} (subset of {layer.data.label})" if isinstance(layer, Subset) else layer.label


def table_layers(data_collection):
    """The tables of a collection, each followed by its subsets.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.Data or glue.core.Subset
    """
    tables = [data for data in data_collection if isinstance(data, Data) and data.ndim == 1]
    return [layer for data in tables for layer in (data, *data.subsets)]


def image_regions(data_collection):
    """The subsets of images with sky coordinates.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.Subset
    """
    return [subset for data in data_collection for subset in data.subsets if is_image_region(subset)]


def _table_or_region(layer):
    """Of a subset group its subset in the table that is likely meant, else that in an image; other layers as they are.

    A table that has rows in the group goes before a region, also where the group was drawn on an image.
    """
    if not isinstance(layer, SubsetGroup):
        return layer
    tables = [subset for subset in layer.subsets if subset.data.ndim == 1]
    regions = [subset for subset in layer.subsets if is_image_region(subset)]
    with_rows = [subset for subset in tables if has_rows(subset)]
    candidates = with_rows or [subset for subset in regions if is_made_on(subset)] or tables or regions
    return min(candidates, key=_order, default=None)


def _order(subset):
    rank = _rank(subset.data)
    return rank > 1, not is_made_on(subset), rank


def _likely(layers):
    """The layer that is most likely meant: a target list, else a table with positions, else a spectrum."""
    ranks = [_rank(layer.data) for layer in layers]
    return layers[ranks.index(min(ranks))] if layers else None


def _rank(data):
    if kind_of(data) == "targets":
        return 0
    if kind_of(data) == "spectrum":
        return 2
    return 1 if {"ra", "dec"} <= guessed_columns(data).keys() else 3
