"""What tests of routes say again and again."""

from collections.abc import Awaitable
from typing import Any

import pytest

from cygni import APIStatusError, AsyncCygniClient


async def refused(asked: Awaitable[Any]) -> APIStatusError:
    """The error that this call must answer."""
    with pytest.raises(APIStatusError) as error:
        await asked
    return error.value


async def create_project(client: AsyncCygniClient, name: str = "shop", **fields: Any) -> dict[str, Any]:
    return (await client.request("POST", "/projects", json={"name": name, **fields})).data
