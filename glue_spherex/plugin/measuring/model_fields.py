"""The fields that say what the sources look like, and which neighbours are fitted with them."""

import re

from echo import CallbackProperty, SelectionCallbackProperty
from glue.core.exceptions import IncompatibleAttribute
from glue.core.state_objects import State

from ...io import TargetListError
from ...io.typed_values import number_of
from ...model import Sersic
from ..dialogs import offer
from .companions import with_companions
from .sentences import sentence_of
from .target_choice import layer_text, table_layers
from .target_lists import targets_of_layer, with_shape

SHAPE_WORDS = {
    "columns": "as listed, else points",
    "point": "points",
    "sersic": "galaxies of one shape",
}
_SERSIC = {
    "sersic_n": ("n", "Sérsic index"),
    "r_eff": ("r_eff", "half-light radius"),
    "axis_ratio": ("axis_ratio", "axis ratio"),
    "position_angle": ("position_angle", "position angle"),
}
#: Fields that change the list of sources.
MODEL_FIELDS = ("shape", *_SERSIC, "neighbours", "radius")
_FARTHEST_ARCSEC = 600.0


class ModelFields(State):
    """Shapes and neighbours; numbers are text until they are used."""

    shape = SelectionCallbackProperty(docstring="shape of the targets")
    sersic_n = CallbackProperty("1", docstring="Sérsic index of all")
    r_eff = CallbackProperty("3", docstring="half-light radius of all, arcsec")
    axis_ratio = CallbackProperty("1", docstring="minor over major axis of all")
    position_angle = CallbackProperty("0", docstring="of all, degrees East of North")
    neighbours = SelectionCallbackProperty(docstring="dataset or subset with neighbours")
    radius = CallbackProperty("30", docstring="neighbours within this radius of a target, arcsec")

    def __init__(self):
        super().__init__()
        ModelFields.shape.set_choices(self, list(SHAPE_WORDS))
        ModelFields.shape.set_display_func(self, SHAPE_WORDS.get)
        ModelFields.neighbours.set_display_func(self, lambda layer: "none" if layer is None else layer_text(layer))

    def offer_neighbours(self, data_collection):
        """Offer the tables of a collection, and their subsets."""
        offer(self, "neighbours", [None, *table_layers(data_collection)])

    def wrong_model(self):
        """What is not allowed: dict of field to sentence."""
        return {**self._wrong_shape(), **self._wrong_radius()}

    def _wrong_shape(self):
        if self.shape != "sersic":
            return {}
        found = {}
        for field, (parameter, what) in _SERSIC.items():
            try:
                Sersic(**{"n": 1.0, "r_eff": 1.0, parameter: number_of(getattr(self, field), what)})
            except ValueError as error:
                sentence = str(error).removeprefix("Sersic profile: ")
                found[field] = sentence_of(re.sub(rf"\b{parameter}\b", what, sentence))
        return found

    def _wrong_radius(self):
        if self.neighbours is None:
            return {}
        try:
            self._radius()
        except ValueError as error:
            return {"radius": sentence_of(error)}
        return {}

    def _radius(self):
        radius = number_of(self.radius, "radius")
        if not 0 < radius <= _FARTHEST_ARCSEC:
            raise ValueError(f"radius is {radius:g} arcsec; allowed is 0 < radius <= {_FARTHEST_ARCSEC:g} arcsec.")
        return radius

    def modelled(self, targets, columns):
        """Targets with the shapes that are chosen, and with their neighbours.

        Parameters
        ----------
        targets : Targets
        columns : dict of str to str or None, optional
            Columns of the dataset of the neighbours; guessed if None.

        Returns
        -------
        targets : Targets
        problem : str
            Why the neighbours cannot be had; '' if they can.
        """
        targets = self._shaped(targets)
        if self.neighbours is None:
            return targets, ""
        try:
            return with_companions(targets, targets_of_layer(self.neighbours, columns), self._radius()), ""
        except (TargetListError, IncompatibleAttribute) as error:
            return targets, sentence_of(error)

    def _shaped(self, targets):
        if self.shape == "columns":
            return targets
        if self.shape == "point":
            return with_shape(targets, None)
        values = {parameter: number_of(getattr(self, field), what) for field, (parameter, what) in _SERSIC.items()}
        return with_shape(targets, Sersic(**values))
