"""Forms whose fields are marked where something is wrong with them."""

from html import escape

from echo.qt.connect import connect_checkable_button, connect_combo_selection
from qtpy import QtCore, QtGui, QtWidgets

from ..colours import pale, red

_LABEL_WIDTH = 122


class Form(QtWidgets.QWidget):
    """Rows of label, field and unit; below a field a sentence if something is wrong with it.

    Attributes
    ----------
    fields : dict of str to QWidget
        The editors by the names of their attributes.
    """

    def __init__(self):
        super().__init__()
        self.fields, self._notes, self._rows, self._frames, self._connections = {}, {}, {}, {}, []
        self._column = QtWidgets.QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)

    def add_row(self, label, *parts, tip="", name=None):
        """Add a row.

        Parameters
        ----------
        label : str
            With & before the letter of its shortcut.
        *parts : QWidget or str
            Fields and units in their order.
        tip : str
            Shown when the mouse rests on the label.
        name : str, optional
            By which `show_row` knows it.

        Returns
        -------
        QWidget
        """
        row = QtWidgets.QWidget()
        line = QtWidgets.QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        caption = QtWidgets.QLabel(label)
        caption.setFixedWidth(_LABEL_WIDTH)
        caption.setToolTip(tip)
        tall = any(isinstance(part, QtWidgets.QAbstractScrollArea) for part in parts)
        line.addWidget(caption, 0, QtCore.Qt.AlignTop if tall else QtCore.Qt.AlignVCenter)
        fields = [part for part in parts if not isinstance(part, str)]
        if fields:
            caption.setBuddy(fields[0])
        for part in parts:
            if isinstance(part, str):
                line.addWidget(_unit_label(part))
            else:
                line.addWidget(part, int(_is_wide(part)))
        if not any(_is_wide(field) for field in fields):
            line.addStretch(1)
        self._column.addWidget(row)
        self._rows[name or label] = row
        for field in fields:
            self._add_note(self.name_of(field))
        return row

    def add_widget(self, widget, name=None):
        """Add something that fills the width of the form."""
        self._column.addWidget(widget)
        if name is not None:
            self._add_note(name)

    def _add_note(self, name):
        if name is None or name in self._notes:
            return
        note = QtWidgets.QLabel()
        note.setTextFormat(QtCore.Qt.PlainText)
        note.setWordWrap(True)
        note.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Minimum)
        note.hide()
        self._notes[name] = note
        self._column.addWidget(note)

    def show_row(self, name, shown):
        """Show or hide a row."""
        self._rows[name].setVisible(shown)

    # -- marks ---------------------------------------------------------------------------------------------------------

    def mark(self, wrong, notes=None):
        """Mark fields.

        Parameters
        ----------
        wrong : dict of str to str
            Names of fields, and what is wrong with them; all others lose their marks.
        notes : dict of str to str, optional
            Sentences below fields that are not wrong.
        """
        for name, note in self._notes.items():
            sentence = wrong.get(name, "")
            text = sentence or (notes or {}).get(name, "")
            if note.text() != text or note.isHidden() == bool(text) or self.is_marked(name) != bool(sentence):
                note.setText(text)
                colour = f"color: {red()}; " if sentence else ""
                note.setStyleSheet(f"{colour}margin-left: {_LABEL_WIDTH + 6}px")
                note.setVisible(bool(text))
                self._frame(name, bool(sentence))

    def _frame(self, name, shown):
        """Draw a red frame around a field, or none."""
        field = self.fields.get(name)
        if field is not None and name not in self._frames and shown:
            self._frames[name] = _RedFrame(field)
        if name in self._frames:
            self._frames[name].setVisible(shown)

    def is_marked(self, name):
        """Whether a field has a red frame."""
        return name in self._frames and not self._frames[name].isHidden()

    def note_of(self, name):
        """The sentence below a field; '' where nothing is wrong."""
        note = self._notes[name]
        return "" if note.isHidden() else note.text()

    def name_of(self, field):
        """The name of a field; None of a widget that is none."""
        return next((name for name, known in self.fields.items() if known is field), None)

    # -- fields --------------------------------------------------------------------------------------------------------

    def line(self, state, name, tip, width=None, placeholder=""):
        """A line of text that is an attribute of a state.

        Parameters
        ----------
        state : glue.core.state_objects.State
        name : str
            Of the attribute.
        tip : str
        width : int, optional
            Pixels; as wide as there is room by default.
        placeholder : str

        Returns
        -------
        QLineEdit
        """
        edit = QtWidgets.QLineEdit(str(getattr(state, name)))
        edit.setPlaceholderText(placeholder)
        edit.setToolTip(tip)
        if width is not None:
            edit.setFixedWidth(width)
            edit.setSizePolicy(QtWidgets.QSizePolicy.Fixed, QtWidgets.QSizePolicy.Fixed)
        edit.textEdited.connect(lambda text: setattr(state, name, text))

        def show(value):
            if edit.text() != str(value):
                edit.setText(str(value))

        self._follow(state, name, show)
        self.fields[name] = edit
        return edit

    def combo(self, state, name, tip):
        """A choice; parameters as of `line`. Returns a QComboBox."""
        combo = _CalmCombo()
        combo.setToolTip(tip)
        combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(8)
        self._connections.append(connect_combo_selection(state, name, combo))
        self.fields[name] = combo
        return combo

    def check(self, state, name, text, tip):
        """A box to tick; parameters as of `line`. Returns a QCheckBox."""
        box = QtWidgets.QCheckBox(text)
        box.setToolTip(tip)
        self._connections.append(connect_checkable_button(state, name, box))
        self.fields[name] = box
        return box

    def _follow(self, state, name, show):
        state.add_callback(name, show)
        self._connections.append(show)  # echo keeps only weak references to methods


class _CalmCombo(QtWidgets.QComboBox):
    """A choice that does not change when the form is scrolled with the mouse over it."""

    def wheelEvent(self, event):
        event.ignore()


class _RedFrame(QtWidgets.QWidget):
    """A frame that is drawn over a field, which keeps its size and look.

    Parameters
    ----------
    field : QWidget
    """

    def __init__(self, field):
        super().__init__(field)
        self.setAttribute(QtCore.Qt.WA_TransparentForMouseEvents)
        self.setFocusPolicy(QtCore.Qt.NoFocus)
        self.setGeometry(field.rect())
        field.installEventFilter(self)
        self.raise_()

    def eventFilter(self, field, event):
        if event.type() == QtCore.QEvent.Resize:
            self.setGeometry(field.rect())
        return False

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.Antialiasing)
        painter.setPen(QtGui.QPen(QtGui.QColor(red()), 2))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), 2, 2)
        painter.end()


def plain_tip(text):
    """A text as a tooltip that is shown as it is, whatever names are in it."""
    return f"<qt>{escape(text).replace(chr(10), '<br>')}</qt>" if text else ""


def heading(text):
    """A heading of a part of the dialog."""
    label = QtWidgets.QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setContentsMargins(0, 8, 0, 2)
    return label


def _unit_label(text):
    label = QtWidgets.QLabel(text)
    label.setStyleSheet(f"color: {pale()}")
    return label


def _is_wide(field):
    """Whether a field takes the room that is left in its row."""
    fixed = field.sizePolicy().horizontalPolicy() == QtWidgets.QSizePolicy.Fixed
    return not (fixed or isinstance(field, QtWidgets.QPushButton))


class Fold(QtWidgets.QWidget):
    """A part of a form that can be folded away.

    Parameters
    ----------
    text : str
        What stands on its button.
    content : QWidget
    """

    def __init__(self, text, content):
        super().__init__()
        self.content = content
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self.button = QtWidgets.QToolButton()
        self.button.setText(text)
        self.button.setStyleSheet("QToolButton { border: none; padding: 3px 0 }")
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._show)
        column.addWidget(self.button, 0, QtCore.Qt.AlignLeft)
        column.addWidget(content)
        self._show(False)

    def unfold(self):
        """Show the content."""
        self.button.setChecked(True)

    def _show(self, shown):
        self.button.setArrowType(QtCore.Qt.DownArrow if shown else QtCore.Qt.RightArrow)
        self.content.setVisible(shown)
