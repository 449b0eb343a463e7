"""A report as a reader has it: elements, text, and the same as JSON."""

import json
from html.parser import HTMLParser
from typing import Any

from distill_tune.records.directory import StudyDirectory
from distill_tune.report import write_report

VOID = {"meta", "link", "img", "line", "circle", "rect", "path", "br"}


class Page(HTMLParser):
    """A page's elements: ids, classes, figures; fails on tags that do not fit each other."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += data

    def classes(self, tag: str) -> list[str]:
        return [found.get("class", "") for name, found in self.tags if name == tag]


def report(directory: StudyDirectory) -> tuple[Page, dict[str, Any]]:
    """Write a report; return its page and its JSON."""
    write_report(directory)
    page = Page(directory.read_text("report.html"))
    said: dict[str, Any] = json.loads(directory.read_text("report.json"))
    # No address, no file beside it: a page that may be sent to somebody.
    for tag, found in page.tags:
        for name in ("src", "href"):
            assert found.get(name, "data:").startswith(("data:", "#")), (tag, found)
    return page, said
