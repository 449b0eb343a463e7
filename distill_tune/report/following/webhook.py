"""A webhook as a destination: one JSON object posted for each message."""

import json
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from distill_tune import __version__
from distill_tune.errors import FollowError, InputError, Parameter
from distill_tune.report.following.destination import (
    FollowedRun,
    Notice,
    StudyIdentity,
)

_TIMEOUT_S = 10.0
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Webhook:
    """An address that takes messages, such as an incoming webhook of Slack or Mattermost.

    The object has ``id`` (the same if a message is posted again), ``kind``, ``text`` and
    ``content`` (the message in words, under the names that chat programs read), ``study``, ``time``
    and ``fields``.

    Args:
        study: The study.
        address: ``http://`` or ``https://`` URL.

    Raises:
        InputError: It is no such URL.
    """

    takes = "notices"

    def __init__(self, study: StudyIdentity, address: str) -> None:
        host = _host(address)
        if not host:
            expected = "an address: webhook=https://HOST/PATH"
            raise InputError(Parameter("to"), got=f"webhook={address}", expected=expected)
        self._study, self._url, self._host = study, address, host

    @property
    def address(self) -> str:
        return f"webhook={self._url}"

    @property
    def title(self) -> str:
        # The path of such an address is often a secret.
        return f"webhook at {self._host}"

    def send_run(self, run: FollowedRun) -> None:
        raise NotImplementedError(run)

    def send_notice(self, notice: Notice) -> None:
        """Post a message.

        Raises:
            FollowError: The webhook refuses it for good.
            OSError: It cannot be reached, or asks to try later.
        """
        request = Request(  # noqa: S310 - http and https only
            self._url,
            data=json.dumps(self._body(notice)).encode(),
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"distill-tune/{__version__}",
            },
        )
        try:
            with urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - as above
                return
        except HTTPError as error:
            if error.code in _TEMPORARY or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            raise FollowError(
                f"{self.title}: got HTTP {error.code} ({error.reason}), expected 2xx"
            ) from None

    def close(self) -> None:
        """Do nothing: every message has been answered."""

    def _body(self, notice: Notice) -> dict[str, Any]:
        return {
            "id": f"{self._study.key}/{notice.id}",
            "kind": notice.kind,
            "text": notice.text,
            "content": notice.text,
            "study": self._study.name,
            "time": notice.time,
            "fields": notice.fields,
        }


def _host(address: str) -> str:
    """Return the host of an http(s) URL; empty if the address is none."""
    try:
        found = urlsplit(address)
        _ = found.port  # Checked only when it is asked for.
    except ValueError:
        return ""
    return (found.hostname or "") if found.scheme in {"http", "https"} else ""
