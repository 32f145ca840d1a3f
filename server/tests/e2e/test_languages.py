"""Examples of languages on a whole installation. As root, a toolchain that is not the system's is copied when the first
app wants it, and builds and apps run as users who may not read the original."""

import os

import pytest

from cygnid.build.copies import copy_of
from cygnid.build.toolchains import find
from tests.e2e.harness import EXAMPLES, Installation
from tests.languages import hello, need


@pytest.mark.parametrize("name", ["go", "rust", "java", "ruby", "php", "hugo"])
def test_the_example_is_deployed(shared: Installation, name: str) -> None:
    need(name)
    said = shared.deploy(EXAMPLES / name, name)
    answer = shared.get(name)
    assert answer.status == 200
    assert hello(name) in answer.body
    copies = shared.data / "toolchains"
    outside = all(copy_of(chain, copies) != chain for chain in find(name))
    if outside and os.geteuid() == 0:
        assert "copied for builds and apps, once" in said.stdout + said.stderr
        assert list(copies.glob(f"{name}-*"))
