"""Kept confirmations of the spaces in ``search_spaces/evidence/``, and the tables made from them.

Each JSON file beside this module is what ``confirm`` wrote for one study, with the commands, the
commit, the machine and the date. The README's table and the one in ``RESULTS.md`` are built from
these files alone.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill_tune.confirmation.evidence.price import Price

FOLDER = Path(__file__).parent
ORDER = ("few-digits", "rare-digits", "rare-cells", "confusions", "few-labels", "poster")
"""Settings in the order of the tables; others follow by name."""

GAN_ARMS = ("gan_augmentation", "selected_augmentation")
"""Arms with a GAN that is trained without the triplet loss."""

_HEAD = (
    "arm",
    "test",
    "distillation over it, 95 %",
    "Holm's p",
    "over its control, 95 %",
    "agreement",
    "hours a run",
)

Arms = Mapping[str, Mapping[str, Any]]


class Kept(NamedTuple):
    """One kept confirmation.

    Attributes:
        setting: Name of the space, such as ``rare-digits``.
        title: The setting in words, from the space's first comment.
        backbone: The confirmed backbone.
        found: What ``confirm`` found for this backbone, as in its ``confirmation.json``.
        confirmation: What ``confirm`` found for all backbones together.
        source: Commands, commit, machine, date, and ``load``: what else the machine did, if it did.
    """

    setting: str
    title: str
    backbone: str
    found: Mapping[str, Any]
    confirmation: Mapping[str, Any]
    source: Mapping[str, Any]

    @property
    def arms(self) -> Arms:
        """Arms by name, in the order of the tables."""
        arms: Arms = self.found["arms"]
        return arms

    @property
    def seeds(self) -> int:
        """Seeds of the method's arm."""
        return len(self.arms["gan_distillation"]["accuracies"])


def load(folder: Path = FOLDER) -> list[Kept]:
    """Return the kept confirmations of a folder, one for each setting and backbone."""
    return sorted(_all(folder), key=lambda kept: (_place(kept.setting), kept.backbone))


def _place(setting: str) -> tuple[int, str]:
    return (ORDER.index(setting) if setting in ORDER else len(ORDER), setting)


def _all(folder: Path) -> Iterator[Kept]:
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text(encoding="utf-8"))
        confirmation = raw["confirmation"]
        for backbone, found in confirmation["backbones"].items():
            yield Kept(raw["setting"], raw["title"], backbone, found, confirmation, raw["source"])


def readme_table(kept: Sequence[Kept]) -> str:
    """Return the README's table and one sentence for each setting, as Markdown."""
    head = (
        "setting",
        "equal steps",
        "strongest without a GAN",
        "GAN augmentation",
        "GAN distillation",
        "price of the gain",
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *map(_readme_row, kept), ""]
    return "\n".join([*lines, *(f"- {_sentence(one)}" for one in kept)])


def _readme_row(kept: Kept) -> str:
    arms = kept.arms
    method = arms["gan_distillation"]
    gan = _strongest(arms, GAN_ARMS)
    rivals = [name for name, arm in arms.items() if arm["role"] == "rival" and name not in GAN_ARMS]
    rival = _strongest(arms, rivals)
    price = arms["equal_steps"]["method_over"].get("price")
    shown = Price(**price).words if price else "not known"
    cells = [
        f"{kept.setting}, {kept.backbone}, {kept.seeds} seeds",
        _compared(arms["equal_steps"], ""),
        _compared(arms[rival], arms[rival]["title"]) if rival else "none was run",
        _compared(arms[gan], arms[gan]["title"] if gan != GAN_ARMS[0] else "") if gan else "",
        f"{100 * method['mean']:.2f}",
        f"{shown}, on a busy machine" if kept.source["load"] else shown,
    ]
    return f"| {' | '.join(cells)} |"


def _strongest(arms: Arms, names: Sequence[str]) -> str | None:
    known = [name for name in names if name in arms and arms[name]["mean"] is not None]
    return max(known, key=lambda name: arms[name]["mean"], default=None)


def _compared(arm: Mapping[str, Any], title: str) -> str:
    """Return an arm's mean and the method's gain over it, bold if it is shown."""
    over = arm["method_over"]
    gain = f"{100 * over['mean']:+.2f} {_interval(over)}"
    shown = f"**{gain}**" if arm["effect"] == "helps" else gain
    name = f"{title}: " if title else ""
    return f"{name}{100 * arm['mean']:.2f}; {shown}"


def _interval(gain: Mapping[str, Any]) -> str:
    if gain["low"] is None or not math.isfinite(gain["low"]):
        return ""
    return f"({100 * gain['low']:+.2f} to {100 * gain['high']:+.2f})"


def _sentence(kept: Kept) -> str:
    question = kept.title.partition("?")[0]
    verdict = kept.found["verdict"].rstrip(".")
    return f"**{kept.setting}**: {question}? {verdict}.{_combined(kept.arms)}{_overlap(kept)}"


def _overlap(kept: Kept) -> str:
    """Return the remark on images that seeds have in common; empty if there is none."""
    found = (one for one in kept.confirmation["remarks"] if "images in common" in one)
    return "".join(f" {one[0].upper()}{one[1:]}." for one in found)


def _combined(arms: Arms) -> str:
    """Return what the method adds to the arms that it was combined with; may be empty."""
    gains = [
        f"{title[:1].lower()}{title[1:]}: {100 * over['mean']:+.2f} {_interval(over)}"
        for title, over in ((arm["title"], arm["over_control"]) for arm in arms.values())
        if over
    ]
    if not gains:
        return ""
    how = "Combined, each over the same training without a GAN (not corrected)"
    return f" {how}: {'; '.join(gains)}."


def results_tables(kept: Sequence[Kept]) -> str:
    """Return every arm of every setting, for ``RESULTS.md``."""
    return "\n".join(line for one in kept for line in _results(one))


def _results(kept: Kept) -> list[str]:
    source = kept.source
    drawn = "images drawn anew with each" if kept.confirmation["is_redrawn"] else "the same images"
    lines = [
        f"### evidence/{kept.setting}, {kept.backbone}",
        "",
        f"{kept.title} Test {kept.confirmation['metric'].replace('_', ' ')} in %.",
        "",
        *(f"    {command}" for command in source["commands"]),
        "",
        f"Commit {source['commit']}, {source['date']}, {source['machine']}.",
        f"{kept.seeds} seeds, {drawn}; p-values corrected by Holm's method.",
        f"These runs took {_hours(kept.arms)}. {source['load']}".rstrip(),
        "",
        f"| {' | '.join(_HEAD)} |",
        "|---" * len(_HEAD) + "|",
    ]
    lines += [_arm_row(arm) for arm in kept.arms.values()]
    return [*lines, "", f"{kept.found['verdict'].rstrip('.')}.", ""]


def _arm_row(arm: Mapping[str, Any]) -> str:
    over, control = arm["method_over"], arm["over_control"]
    agreements = list(arm["agreements"].values())
    spread = "" if arm["spread"] is None else f" ± {100 * arm['spread']:.2f}"
    cells = [
        arm["title"],
        f"{100 * arm['mean']:.2f}{spread}",
        f"{100 * over['mean']:+.2f} {_interval(over)}" if over else "",
        f"{arm['adjusted_p']:.2g}" if arm["adjusted_p"] is not None else "",
        f"{100 * control['mean']:+.2f} {_interval(control)}" if control else "",
        f"{sum(agreements) / len(agreements):.2f}" if agreements else "",
        f"{arm['cost']['hours']:.3f}" if arm["cost"] else "",
    ]
    return f"| {' | '.join(cells)} |"


def _hours(arms: Arms) -> str:
    """Return the hours of all runs, each with its shared stages in full."""
    costs = [(arm["cost"], len(arm["accuracies"])) for arm in arms.values() if arm["cost"]]
    units = dict.fromkeys(cost["unit"] for cost, _ in costs)
    totals = {unit: sum(c["hours"] * n for c, n in costs if c["unit"] == unit) for unit in units}
    return " and ".join(f"{hours:.1f} {unit}s" for unit, hours in totals.items())


def between(text: str, name: str) -> str:
    """Return what stands between the marks ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises:
        ValueError: The marks are missing.
    """
    found = re.search(_marks(name), text, re.DOTALL)
    if found is None:
        raise ValueError(f"expected <!-- {name} --> and <!-- /{name} -->")
    return found[2].removesuffix("\n")


def replaced(text: str, name: str, part: str) -> str:
    """Return the text with another part between the marks of a name."""
    between(text, name)
    return re.sub(
        _marks(name), lambda found: f"{found[1]}{part}\n{found[3]}", text, flags=re.DOTALL
    )


def _marks(name: str) -> str:
    return rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)"
