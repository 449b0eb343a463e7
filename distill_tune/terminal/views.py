"""Progress views of searches and confirmations on a console."""

from typing import TYPE_CHECKING

from distill_tune.study.study import Study
from distill_tune.terminal.confirmation_view import ConsoleConfirmationView
from distill_tune.terminal.search_view import ConsoleSearchView

if TYPE_CHECKING:
    from rich.console import Console


class ConsoleViews:
    """Live views on a terminal, a line per event on anything else.

    Args:
        console: Console to print to.
    """

    def __init__(self, console: "Console") -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, soft_wrap=True)

    def search(self, study: Study) -> ConsoleSearchView:
        """Return a view of a search of this study."""
        return ConsoleSearchView(self._console, study)

    def confirmation(self) -> ConsoleConfirmationView:
        """Return a view of a confirmation."""
        return ConsoleConfirmationView(self._console)
