"""Drawings with marks placed in percent and text sized in pixels, legible at any width.

No plotting library is used: the drawings of three backbones alone would exceed the two seconds
that the whole report may take, and text would shrink with the figure on a phone. Colours are CSS
classes, which the page's style sheet defines for light mode, dark mode and print.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from distill_tune.report.axes import Axis

Point = tuple[object, object]


class Dot(NamedTuple):
    """A mark of a plot.

    Attributes:
        x: Value on the horizontal axis.
        y: Value on the vertical axis.
        kind: CSS class: ``complete``, ``pruned``, ``failed``, ``best`` ...
        tip: Tooltip.
    """

    x: object
    y: object
    kind: str
    tip: str


class Panel:
    """A plot with a horizontal axis, a vertical axis and marks.

    Args:
        x: Horizontal axis.
        y: Vertical axis.
        height: Height in pixels.
        num_ticks: Maximum number of ticks on the horizontal axis.
    """

    def __init__(self, x: Axis, y: Axis, *, height: int = 190, num_ticks: int = 5) -> None:
        self._x, self._y, self._height, self._num_ticks = x, y, height, num_ticks
        self._marks: list[Markup] = []

    def dots(self, dots: Iterable[Dot]) -> None:
        """Draw marks, leaving out those that have no place on the axes."""
        for dot in dots:
            place = self._place(dot.x, dot.y)
            if place is not None:
                mark = Markup(
                    '<circle class="{}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>'
                )
                self._marks.append(mark.format(dot.kind, *map(percent, place), dot.tip))

    def line(
        self, points: Iterable[Point], kind: str, tip: str = "", *, is_step: bool = False
    ) -> None:
        """Draw a line through points."""
        found = [place for x, y in points if (place := self._place(x, y)) is not None]
        self._marks.append(path(found, kind, tip, is_step=is_step))

    def name(self, x: object, y: object, text: str) -> None:
        """Write a name above a mark."""
        place = self._place(x, y)
        if place is not None:
            mark = Markup('<text class="note" x="{}" y="{}" dy="-8" text-anchor="middle">{}</text>')
            self._marks.append(mark.format(*map(percent, place), text))

    def upright(self, x: object, text: str) -> None:
        """Draw a dashed vertical line with a label at its top."""
        place = self._x.place(x)
        if place is not None:
            mark = Markup(
                '<line class="guide" x1="{0}" x2="{0}" y1="0" y2="100%"/>'
                '<text class="note" x="{0}" y="0" dy="-4" text-anchor="middle">{1}</text>'
            )
            self._marks.append(mark.format(percent(place), text))

    def level(self, y: object, text: str, *, is_at_end: bool = False) -> None:
        """Draw a dashed horizontal line with a label at its left or right end."""
        place = self._y.place(y)
        if place is not None:
            mark = Markup(
                '<line class="guide" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
                '<text class="note" x="{2}" y="{0}" dx="{3}" dy="-4" text-anchor="{4}">{1}</text>'
            )
            end = ("100%", -4, "end") if is_at_end else ("0", 4, "start")
            self._marks.append(mark.format(percent(1 - place), text, *end))

    def whisker(self, x: object, low: object, high: object) -> None:
        """Draw a vertical interval."""
        ends = self._place(x, low), self._place(x, high)
        if ends[0] is not None and ends[1] is not None:
            mark = Markup('<line class="whisker" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>')
            self._marks.append(
                mark.format(percent(ends[0][0]), percent(ends[0][1]), percent(ends[1][1]))
            )

    def cell(self, left: float, width: float, lower: float, height: float, kind: str) -> None:
        """Fill a rectangle, given in shares of the area."""
        mark = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>')
        box = (left, 1 - lower - height, width, height)
        self._marks.append(mark.format(kind, *map(percent, box)))

    def _place(self, x: object, y: object) -> tuple[float, float] | None:
        across, up = self._x.place(x), self._y.place(y)
        return None if across is None or up is None else (across, 1 - up)

    def html(self) -> Markup:
        """Return the plot as HTML."""
        return Markup(
            '<div class="panel"><p class="up">{}</p><div class="area" style="height:{}px">'
            '<svg aria-hidden="true">{}{}{}</svg></div><p class="across">{}</p></div>'
        ).format(
            self._y.title,
            self._height,
            self._grid(),
            self._labels(),
            Markup().join(self._marks),
            self._x.title,
        )

    def _grid(self) -> Markup:
        mark = Markup(
            '<line class="grid" x1="0" x2="100%" y1="{0}" y2="{0}"/>'
            '<text x="-8" y="{0}" dy=".32em" text-anchor="end">{1}</text>'
        )
        return Markup().join(
            mark.format(percent(1 - place), text) for place, text in self._y.ticks()
        )

    def _labels(self) -> Markup:
        mark = Markup('<text x="{}" y="100%" dy="17" text-anchor="middle">{}</text>')
        return Markup().join(
            mark.format(percent(place), text) for place, text in self._x.ticks(self._num_ticks)
        )


def path(
    places: Sequence[tuple[float, float]], kind: str, tip: str = "", *, is_step: bool = False
) -> Markup:
    """Return a line through places, given in shares of the area from the left and the top."""
    # The nested svg element is stretched to the whole area; its lines keep their width.
    if not places:
        return Markup()
    corners = " ".join(f"{1000 * x:.0f} {1000 * y:.0f}" for x, y in places)
    if is_step:
        first, *rest = places
        steps = "".join(f"H{1000 * x:.0f}V{1000 * y:.0f}" for x, y in rest)
        corners = f"{1000 * first[0]:.0f} {1000 * first[1]:.0f}{steps}"
    title = Markup("<title>{}</title>").format(tip) if tip else Markup()
    return Markup(
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">'
        '<path class="{}" d="M{}">{}</path></svg>'
    ).format(kind, corners, title)


def panels(drawn: Iterable[Panel]) -> Markup:
    """Return plots side by side, or below each other if space is short."""
    return Markup('<div class="panels">{}</div>').format(Markup().join(one.html() for one in drawn))


class Bar(NamedTuple):
    """A row of a bar chart.

    Attributes:
        name: Label of the row.
        share: Length of the bar, in [0, 1].
        text: The length in words.
        mark: Marked place on the line of the bar, in [0, 1]; None for no mark.
    """

    name: str
    share: float
    text: str
    mark: float | None = None


def bars(rows: Iterable[Bar]) -> Markup:
    """Return horizontal bars, one below the other."""
    row = Markup(
        '<div class="bar"><span>{}</span><span class="track"><i style="width:{}"></i>{}</span>'
        "<b>{}</b></div>"
    )
    tick = Markup('<u style="left:{}"></u>')
    return Markup('<div class="bars">{}</div>').format(
        Markup().join(
            row.format(
                bar.name,
                percent(bar.share),
                "" if bar.mark is None else tick.format(percent(bar.mark)),
                bar.text,
            )
            for bar in rows
        )
    )


def percent(share: float) -> str:
    """Return a share as ``12.34%``."""
    return f"{100 * share:.2f}%"
