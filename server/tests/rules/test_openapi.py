"""The committed contract is the served one. `make docs` writes it anew."""

import subprocess
import sys
from pathlib import Path

import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

ROOT = Path(__file__).parents[3]
FILE = ROOT / "openapi.json"


def test_the_committed_contract_is_what_is_served() -> None:
    said = subprocess.run([sys.executable, "-m", "cygnid", "openapi"], capture_output=True, text=True, check=True)
    assert FILE.read_text() == said.stdout, "look at the difference, it changes the public contract; then `make docs`"


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(msgspec.json.decode(FILE.read_bytes())).validate()
