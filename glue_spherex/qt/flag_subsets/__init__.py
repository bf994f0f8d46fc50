"""The dialog that turns quality flags into subsets."""

from .dialog import FlagSubsetsDialog, flag_subsets_dialog

__all__ = ["FlagSubsetsDialog", "flag_subsets_dialog"]
