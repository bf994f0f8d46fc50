"""The Python examples of the README and the guide: each can be copied as it stands."""

import ast
import builtins
import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: What the terminal of glue has; a page that uses it says so.
OF_GLUE = {"application", "session", "data_collection"}


def examples():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)):
        yield pytest.param(readme, code, id=f"README-{number}")
    for page in sorted((ROOT / "docs").rglob("*.rst")):
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^( *)\.\. code-block:: python\n\n((?:\1   .*\n|\s*\n)+)", text, re.MULTILINE)
        for number, (indent, code) in enumerate(blocks):
            yield pytest.param(text, re.sub(rf"^{indent}   ", "", code, flags=re.MULTILINE), id=f"{page.stem}-{number}")


@pytest.mark.parametrize(("page", "code"), list(examples()))
def test_an_example_has_all_its_names(page, code):
    if code.startswith(">>>"):
        code = "".join(example.source for example in doctest.DocTestParser().get_examples(code))
    nodes = list(ast.walk(ast.parse(code)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module.startswith("glue_spherex"):
            exec(ast.unparse(node), {})  # it is there
    unknown = names - made - set(dir(builtins))
    assert unknown <= OF_GLUE
    if unknown:
        assert "IPython terminal of glue" in page


def test_what_an_example_shows_is_true():
    assert doctest.testfile(str(ROOT / "docs" / "flags.rst"), module_relative=False).failed == 0
