"""Methods that are more than one call, beside the generated ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import webhooks
from .behavior import WEBHOOK_TOLERANCE_SECONDS
from .call import segment
from .errors import DeploymentFailedError, WaitTimeoutError
from .resource import AsyncResource, Resource, read
from .response import Response
from .uploads import upload_directory

if TYPE_CHECKING:
    from cygni import types as t

Until = Literal["success", "finished"]
_LOOK_SECONDS = 1.0


class Looks:
    """What wait does between its requests, decided once for both clients.

    A stream would tell the end sooner, but needs the permission to read logs. A look that finds nothing new is a 304,
    which is not charged.
    """

    deployment: t.Deployment

    def __init__(self, until: Until, timeout: float | None) -> None:
        self._until = until
        self._timeout = timeout
        self._ends_at = None if timeout is None else time.monotonic() + timeout
        self.headers: dict[str, str] = {}

    def take(self, response: Response) -> bool:
        """Whether the deployment has ended. Raises DeploymentFailedError if that is another end than waited for."""
        if response.status != 304:
            self.deployment = read("Deployment", response)
            self.headers = {"If-None-Match": response.etag} if response.etag else {}
        if self.deployment.finished_at is None:
            return False
        if self._until == "success" and self.deployment.status != "success":
            raise DeploymentFailedError(self.deployment)
        return True

    def pause(self) -> float:
        """Seconds until the next look. Raises WaitTimeoutError when there is no time for one."""
        if self._ends_at is not None and time.monotonic() + _LOOK_SECONDS > self._ends_at:
            raise WaitTimeoutError(self.deployment, self._timeout or 0)
        return _LOOK_SECONDS


class DeploymentsHelpers(Resource):
    def wait(self, deployment_id: str, /, *, until: Until = "success", timeout: float | None = None) -> t.Deployment:
        """Wait until the deployment has ended.

        until: `success` raises DeploymentFailedError for any other end, `finished` returns whatever the end is.
        timeout: seconds until WaitTimeoutError; None waits as long as it takes.
        """
        looks = Looks(until, timeout)
        while not looks.take(self._client.request("GET", _path(deployment_id), headers=looks.headers)):
            time.sleep(looks.pause())
        return looks.deployment


class AsyncDeploymentsHelpers(AsyncResource):
    async def wait(
        self, deployment_id: str, /, *, until: Until = "success", timeout: float | None = None
    ) -> t.Deployment:
        """As Deployments.wait."""
        looks = Looks(until, timeout)
        while not looks.take(  # noqa: ASYNC110 - nothing in this process knows
            await self._client.request("GET", _path(deployment_id), headers=looks.headers)
        ):
            await asyncio.sleep(looks.pause())
        return looks.deployment


class UploadsHelpers(Resource):
    def from_directory(self, path: str | Path, /, *, on_progress: Callable[[int, int], None] | None = None) -> t.Upload:
        """Pack a directory and upload it, going on after a broken connection; `on_progress(sent, total)` in bytes.

        What .gitignore and .cygniignore leave out is not packed. Raises ArchiveError for what cannot be packed.
        """
        return read("Upload", self._client.run_upload(upload_directory(Path(path), on_progress)))


class AsyncUploadsHelpers(AsyncResource):
    async def from_directory(
        self, path: str | Path, /, *, on_progress: Callable[[int, int], None] | None = None
    ) -> t.Upload:
        """As Uploads.from_directory."""
        return read("Upload", await self._client.run_upload(upload_directory(Path(path), on_progress)))


class _Webhooks:
    @staticmethod
    def verify(
        body: bytes | str,
        headers: Mapping[str, str],
        secret: str,
        *,
        tolerance_seconds: float = WEBHOOK_TOLERANCE_SECONDS,
    ) -> None:
        """Raise WebhookVerificationError unless this body was signed with this secret, lately.

        `body` must be the bytes as they came: parsed and written again, they are others.
        """
        webhooks.verify(body, headers, secret, tolerance_seconds)

    @staticmethod
    def unwrap(
        body: bytes | str,
        headers: Mapping[str, str],
        secret: str,
        *,
        tolerance_seconds: float = WEBHOOK_TOLERANCE_SECONDS,
    ) -> t.WebhookEvent:
        """Verify, then parse. A type that this version does not know is an UnknownEvent."""
        webhooks.verify(body, headers, secret, tolerance_seconds)
        return webhooks.parse(body)


class WebhooksHelpers(_Webhooks, Resource):
    pass


class AsyncWebhooksHelpers(_Webhooks, AsyncResource):
    pass


def _path(deployment_id: str) -> str:
    return f"/deployments/{segment(deployment_id)}"
