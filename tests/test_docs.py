"""The pages: what they refer to exists."""

import pathlib
import re

import pytest

from gan_keras import losses, regularizers, schedules

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "gan_keras" / "pretrained").glob("*/card.md"))]


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


@pytest.mark.parametrize("kind", [losses, regularizers, schedules])
def test_the_names_that_compile_takes_are_listed(kind):
    with pytest.raises(ValueError, match="Known: ") as error:
        kind.get("")
    lines = (ROOT / "docs" / "concepts.md").read_text().splitlines()
    listed = [sorted(re.findall(r'"(\w+)"', line)) for line in lines if line.startswith("| `")]
    assert str(error.value).partition("Known: ")[2].rstrip(".").split(", ") in listed
