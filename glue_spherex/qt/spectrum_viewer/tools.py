"""Buttons of the viewer's toolbar."""

from glue.config import viewer_tool
from glue.viewers.common.tool import Tool
from glue_qt.utils import messagebox_on_error


@viewer_tool
class CheckUpTool(Tool):
    """Judge the spectrum that is looked at."""

    tool_id = "spherex:check-up"
    icon = "glue_spectrum"
    action_text = "Check-up"
    tool_tip = "Check-up: is the spectrum of this source good?"

    @messagebox_on_error("The check-up cannot be opened")
    def activate(self):
        """Open the dialog for the source that is looked at."""
        from ..check_up import check_up_dialog

        data, source_id = self.viewer.current_source()
        return check_up_dialog(self.viewer.session, data, source_id)


@viewer_tool
class FlagSubsetsTool(Tool):
    """Make subsets from flags."""

    tool_id = "spherex:flag-subsets"
    icon = "glue_subset"
    action_text = "Flag subsets"
    tool_tip = "Flag subsets: select points by their flags"

    @messagebox_on_error("The dialog of flag subsets cannot be opened")
    def activate(self):
        """Open the dialog for the dataset that is looked at."""
        from ..flag_subsets import flag_subsets_dialog

        return flag_subsets_dialog(self.viewer.session, self.viewer.current_source()[0])


@viewer_tool
class TableTool(Tool):
    """The same rows as a table."""

    tool_id = "spherex:table"
    icon = "glue_row_select"
    action_text = "Show as table"
    tool_tip = "Show as table: choosing a row looks at its point"

    @messagebox_on_error("The table cannot be opened")
    def activate(self):
        """Open a table of the dataset that is looked at."""
        from ..table_viewer import SpherexTableViewer

        data = self.viewer.current_source()[0]
        return self.viewer.session.application.new_data_viewer(SpherexTableViewer, data=data)
