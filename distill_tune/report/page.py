"""HTML page of a report: one file that needs no other file and no network."""

import base64
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from distill_tune.confirmation.evidence.tables import value_line
from distill_tune.records.formatting import duration, param_text
from distill_tune.records.pareto import front_sentences
from distill_tune.report.class_results import class_table
from distill_tune.report.contents import Contents
from distill_tune.report.tables import confirmation_tables, trials_table

_FOLDER = Path(__file__).parent / "template"


def page(found: Contents) -> str:
    """Return a report as HTML; all text from the study is escaped."""
    source = found.source
    return rendered(
        "report.html",
        source.made_at,
        found=found,
        source=source,
        counts=_counts(found),
        trials=trials_table(source),
        tables=confirmation_tables(source.confirmation) if source.confirmation else (),
        value_lines=_value_lines(found),
        fronts=front_sentences(source.status.front),
        classes=[class_table(backbone, rows) for backbone, rows in found.classes.items() if rows],
    )


def rendered(template: str, made_at: float, **values: object) -> str:
    """Return a page as HTML; all text in ``values`` is escaped.

    Args:
        template: Name of a file in ``template/``.
        made_at: Unix time of the page.
        **values: What the template shows.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": param_text,
        "percent": percent,
        "amount": amount,
        "duration": duration,
    }
    script = (_FOLDER / "sort.js").read_text(encoding="utf-8")
    text = environment.get_template(template).render(
        made_at=datetime.fromtimestamp(made_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
        script=Markup(script),  # noqa: S704 - our own
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )
    # A log may hold lone surrogates, which UTF-8 cannot encode.
    return text.encode("utf-8", "replace").decode()


def _value_lines(found: Contents) -> list[str]:
    confirmation = found.source.confirmation
    if confirmation is None:
        return []
    return [value_line(confirmation, one) for one in confirmation.backbones]


def _counts(found: Contents) -> str:
    """Return how many trials are over, and their outcomes."""
    total: dict[str, int] = {}
    for counts in found.source.status.counts.values():
        for outcome, count in counts.items():
            total[outcome] = total.get(outcome, 0) + count
    asked = found.source.plan.number("search.num_trials")
    of = f" of {asked:.0f}" if asked is not None else ""
    over = sum(
        count for outcome, count in total.items() if outcome not in {"running", "interrupted"}
    )
    listed = ", ".join(f"{count} {outcome}" for outcome, count in total.items())
    return f"{over}{of} trials over" + (f" ({listed})" if listed else "")


def percent(value: float) -> str:
    """Return a share as ``96.75``."""
    return f"{100 * value:.2f}"


def amount(value: float, *, is_share: bool) -> str:
    """Return a value of the metric: a share as ``96.75``, any other number with four digits."""
    return percent(value) if is_share else f"{value:.4f}"
