"""The pages: what they refer to exists."""

import argparse
import functools
import importlib
import pathlib
import re
import shlex

import pytest
import quotes

from gan_keras import losses, regularizers, schedules
from gan_keras_scripts import evaluate, explore, export, options, sample, serve, train_mnist

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "gan_keras" / "pretrained").glob("*/card.md")),
]


def anchors(page):
    """The addresses of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_page_names_exist(page):
    file = None
    for name, test in re.findall(r"`(?:tests/)?(test_\w+\.py)?(?:::(test_\w+))?[` ]", page.read_text()):
        file = ROOT / "tests" / name if name else file
        assert not name or file.exists(), name
        assert not test or f"def {test}(" in file.read_text(), f"{file.name}::{test}"


def options_of(script, monkeypatch):
    """The options that a script adds to its parser."""
    added = []

    def stop(parser, argv=None):
        added.extend(parser._actions)
        raise StopIteration

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(StopIteration):
        getattr(script.main, "__wrapped__", script.main)([])
    return {name: option for option in added for name in option.option_strings if name.startswith("--") and name != "--help"}


def rows_of(page):
    """The rows of a page's tables of options: {option: (the cell that names it, the others without backticks)}."""
    rows = {}
    for line in page.splitlines():
        if line.startswith("| `--"):
            _, named, *told, _ = re.split(r" *(?<!\\)\| *", line)
            rows |= dict.fromkeys(re.findall(r"--[a-z-]+", named), (named, " | ".join(told).replace("`", "")))
    return rows


@pytest.mark.parametrize(
    "name, scripts",
    [
        ("train", [train_mnist]),
        ("sample", [sample]),
        ("explore", [explore]),
        ("evaluation", [evaluate]),
        ("serving", [export, serve]),
    ],
)
def test_the_table_of_options_on_a_page_is_that_of_its_script(name, scripts, monkeypatch):
    page = (ROOT / "docs" / f"{name}.md").read_text()
    rows, options = rows_of(page), {}
    for script in scripts:
        options |= options_of(script, monkeypatch)
    assert rows.keys() == options.keys()
    for name, option in options.items():
        named, told = rows[name]
        choices = [str(choice) for choice in option.choices or ()]
        listed = re.search(rf"`{name} ([^`]+)`", named)
        if choices and "|" in listed[1]:
            assert listed[1].split("\\|") == choices
        else:  # in the text, or in another table
            assert all(f"`{choice}`" in page for choice in choices), name
        if default := re.search(r"default: ((?:[^.;,]|\.(?=\S))+)", option.help % vars(option)):
            said = re.search(r"(?:Default:? |\| )([^|]*)$", told)[1]
            assert default[1] in said.replace(",", ""), f"{name}: {default[1]!r} in --help, {said!r} on the page"


def commands(page):
    """What follows `python scripts/` in the blocks of commands, and in the text between backticks."""
    text = page.read_text()
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL))
    found = re.findall(r"^(?:.* && )?(?:\.venv/bin/)?python scripts/(.+)$", blocks, re.MULTILINE)
    return found + re.findall(r"`python scripts/([^`]+)`", text)


COMMANDS = [(page, command) for page in (*PAGES, ROOT / "CONTRIBUTING.md") for command in commands(page)]


@pytest.mark.parametrize("page, command", COMMANDS, ids=lambda part: getattr(part, "name", part))
def test_a_command_on_a_page_has_options_that_its_script_knows(page, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, *argv = shlex.split(command, comments=True)
    assert (ROOT / "scripts" / program).exists()
    folder, _, name = program.removesuffix(".py").rpartition("/")
    if name == "search":
        pytest.importorskip("optuna", reason="Optuna is of the optional extra lab")
    if name in ("serve", "pretrain", "quotes", "reference", "notebook", "versions"):
        return  # no options beside names and folders
    script = importlib.import_module(name if folder else f"gan_keras_scripts.{name}")
    parse = functools.partial(options.parse, "") if name == "train_mnist" else script.parse
    parse(argv)  # raises ValueError where an option is unknown, or its value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_quotes_of_the_source_are_current(page):
    assert quotes.renewed(page.read_text()) == page.read_text(), "python scripts/lab/quotes.py renews it"


def test_a_quote_is_the_source_without_docstrings():
    quote = quotes.quoted("losses.py", "NonSaturating")
    assert quote.startswith("class NonSaturating(LogisticLoss):\n    def fool(self, scores):") and '"""' not in quote
    assert quotes.quoted("schedules.py", "Alternating.step").startswith("# Alternating\ndef step(self, gan, batch):\n    for ")
    page = "<!-- quote losses.py Hinge.fool -->\n```python\nold\n```\nrest"
    assert (
        quotes.renewed(page)
        == f"<!-- quote losses.py Hinge.fool -->\n```python\n{quotes.quoted('losses.py', 'Hinge.fool')}```\nrest"
    )


@pytest.mark.parametrize("kind", [losses, regularizers, schedules])
def test_the_names_that_compile_takes_are_listed(kind):
    with pytest.raises(ValueError, match="Known: ") as error:
        kind.get("")
    lines = (ROOT / "docs" / "concepts.md").read_text().splitlines()
    listed = [sorted(re.findall(r'"(\w+)"', line)) for line in lines if line.startswith("| `")]
    assert str(error.value).partition("Known: ")[2].rstrip(".").split(", ") in listed
