"""Dialogs beside glue: what their combos offer, and which news from glue they hear."""

from weakref import WeakKeyDictionary

from echo import delay_callback
from glue.core import message

_shown = WeakKeyDictionary()  # state -> {attribute: labels that its combo shows}

#: News of the hub after which what a dialog says of the data may be wrong.
DATA_MESSAGES = (
    message.DataCollectionAddMessage,
    message.DataCollectionDeleteMessage,
    message.DataUpdateMessage,
    message.NumericalDataChangedMessage,
    message.DataRenameComponentMessage,
    message.DataAddComponentMessage,
    message.DataRemoveComponentMessage,
)


def offer(state, attribute, choices, is_chosen=None, default=None):
    """Set the choices of a selection of a state.

    Views are told if the choices or their labels changed, which echo alone does not notice.

    Parameters
    ----------
    state : glue.core.state_objects.State
    attribute : str
        A `echo.SelectionCallbackProperty` of the state.
    choices : list
    is_chosen : callable(choice), optional
        Which of the new choices is the one that was chosen; the same object by default.
    default : object, optional
        What to choose if what was chosen no longer exists; the first choice by default.
    """
    selection, chosen = getattr(type(state), attribute), getattr(state, attribute)
    kept = [choice for choice in choices if (choice is chosen if is_chosen is None else is_chosen(choice))]
    display = selection.get_display_func(state) or str
    labels = [display(choice) for choice in choices]
    if _shown.setdefault(state, {}).get(attribute) != labels:
        selection.force_next_sync(state)
    _shown[state][attribute] = labels
    with delay_callback(state, attribute):
        selection.set_choices(state, choices)
        if kept:
            setattr(state, attribute, kept[0])
        elif default is not None:
            setattr(state, attribute, default)


def listen(listener, hub, kinds, handler):
    """Hear news from glue, but not that a colour or another part of a style changed.

    Parameters
    ----------
    listener : glue.core.hub.HubListener
    hub : glue.core.Hub
    kinds : iterable of type
        Message classes.
    handler : callable(message)
    """
    for kind in kinds:
        hub.subscribe(listener, kind, handler=handler, filter=_is_no_style)


def _is_no_style(message):
    return getattr(message, "attribute", None) != "style"
