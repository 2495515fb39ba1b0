"""Bring the quotes of the source in docs up to date: Python blocks after a line `<!-- quote FILE NAME ... -->`.

    python scripts/lab/quotes.py

A quote is a class, a function or a method of gan_keras, without its docstring. tests/test_docs.py holds that all are current.
"""

import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[2]
QUOTE = re.compile(r"(<!-- quote (\S+) (.+?) -->\n```python\n).*?(```)", re.DOTALL)


def quoted(file, name):
    """The source of `name`, such as "R1" or "Alternating.step", without docstrings."""
    text = (ROOT / "gan_keras" / file).read_text()
    node = ast.parse(text)
    for part in name.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == part)
    lines = text.splitlines()
    left_out = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(inner):
            last = inner.body[0].end_lineno
            # The empty line after the docstring goes with it.
            left_out |= {*range(inner.body[0].lineno, last + 1), *([last + 1] if not lines[last].strip() else [])}
    kept = [lines[k - 1] for k in range(node.lineno, node.end_lineno + 1) if k not in left_out]
    indent = len(kept[0]) - len(kept[0].lstrip())
    of = [f"# {name.rpartition('.')[0]}"] if "." in name else []
    return "\n".join([*of, *(line[indent:] for line in kept)]) + "\n"


def renewed(text):
    """The text of a page with current quotes."""
    return QUOTE.sub(lambda m: m[1] + "\n\n".join(quoted(m[2], name) for name in m[3].split()) + m[4], text)


def main():
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text()
        if renewed(text) != text:
            page.write_text(renewed(text))
            print(f"renewed {page.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
