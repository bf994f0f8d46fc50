"""The dialog of the check-up of a spectrum."""

from .dialog import CheckUpDialog, check_up_dialog

__all__ = ["CheckUpDialog", "check_up_dialog"]
