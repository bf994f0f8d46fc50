"""Sphinx configuration; the tables of flags and columns and the help of the commands are made from the code."""

import argparse
from pathlib import Path

import glue_spherex
from glue_spherex.cli import _parser
from glue_spherex.model import COLUMNS, DETECTORS, FLAG_TABLE
from glue_spherex.model.spectrum import DISK_NAMES

project = "glue-spherex"
author = "The glue-spherex developers"
copyright = "2026, the glue-spherex developers"
version = release = glue_spherex.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "sphinx_design"]
html_theme = "furo"
html_static_path = ["_static"]
exclude_patterns = ["_build", "_generated"]
default_role = "code"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"

_GENERATED = Path(__file__).parent / "_generated"


def _table(header, rows, widths):
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in [header, *rows]:
        for number, cell in enumerate(row):
            lines.append(f"   {'* -' if number == 0 else '  -'} {cell}")
    return "\n".join(lines) + "\n"


def _flags():
    rows = [
        (info.bit, f"``{info.name}``", f"{1 << info.bit}", info.meaning, "yes" if info.masks_fit else "")
        for info in FLAG_TABLE
    ]
    return _table(("bit", "name", "value", "meaning", "not used in the fit"), rows, "6 24 16 44 10")


def _columns():
    def name(column):
        return f"``{column.disk_name}``" + (f" (``{column.name}`` in Python)" if column.name in DISK_NAMES else "")

    rows = [(name(c), c.unit, c.dtype, c.description.replace("|", r"\|")) for c in COLUMNS]
    return _table(("column", "unit", "type", "meaning"), rows, "28 12 10 50")


def _detectors():
    rows = [
        (d.number, f"{d.wavelength_min_um:.4f}", f"{d.wavelength_max_um:.4f}", d.resolving_power, f"D{d.partner}")
        for d in DETECTORS.values()
    ]
    return _table(("detector", "from (µm)", "to (µm)", "R", "shares its sky with"), rows, "15 20 20 15 30")


def _commands():
    text = []
    for name, command in _subcommands(_parser()):
        parts = _subcommands(command) or [(name, command)]
        bodies = []
        for _, part in parts:
            part.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=110, max_help_position=32)
            bodies.append("\n".join(f"   {line}".rstrip() for line in part.format_help().splitlines()))
        body = "\n\n".join(bodies)
        text.append(f"{name}\n{'-' * len(name)}\n\n.. code-block:: text\n\n{body}\n")
    return "\n".join(text)


def _subcommands(parser):
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return list(actions[0].choices.items()) if actions else []


_GENERATED.mkdir(exist_ok=True)
for _name, _make in (("flags", _flags), ("columns", _columns), ("detectors", _detectors), ("commands", _commands)):
    (_GENERATED / f"{_name}.inc").write_text(_make(), encoding="utf-8")
