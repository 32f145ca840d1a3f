import re

import pytest

from cygnid.core.errors import PreconditionFailed
from cygnid.core.etag import etag, not_modified, required_version


def test_the_tag_is_128_bits_of_the_hash_and_the_version():
    # sha256("{}") = 44136fa355b3678a1146ad16f7e8649e…
    assert etag(b"{}", 7) == '"RBNvo1WzZ4oRRq0W9-hkng.7"'
    assert etag(b"{}", None) == '"RBNvo1WzZ4oRRq0W9-hkng"'


def test_the_tag_moves_with_the_data_and_with_the_version():
    assert len({etag(b"1", 1), etag(b"2", 1), etag(b"1", 2), etag(b"1", None)}) == 4


@pytest.mark.parametrize("header", ["{tag}", "W/{tag}", '"x", {tag}', '"x",W/{tag} ,"y"', "*", " * "])
def test_if_none_match_knows_the_tag(header: str):
    tag = etag(b"{}", 3)
    assert not_modified(header.format(tag=tag), tag)


@pytest.mark.parametrize("header", ["", '"x"', "RBNvo1WzZ4oRRq0W9-hkng.3", '"RBNvo1WzZ4oRRq0W9-hkng.4"', '"*"'])
def test_if_none_match_compares_the_whole(header: str):
    assert not not_modified(header, etag(b"{}", 3))


@pytest.mark.parametrize("header", [None, "*", " * "])
def test_a_change_may_leave_the_version_open(header: str | None):
    assert required_version(header) is None


@pytest.mark.parametrize("version", [0, 1, 10**17])
def test_a_tag_carries_its_version_back(version: int):
    assert required_version(etag(b"whatever", version)) == version
    assert required_version(f" {etag(b'whatever', version)} ") == version


@pytest.mark.parametrize(
    "header",
    [
        "",
        "7",
        '""',
        '"7"',
        etag(b"{}", None),
        "W/" + etag(b"{}", 1),
        etag(b"{}", 1) + ", " + etag(b"{}", 2),
        etag(b"{}", 1).strip('"'),
        re.sub("1", "-1", etag(b"a", 1)),
        '"RBNvo1WzZ4oRRq0W9-hkng.99999999999999999999999"',
        '"RBNvo1WzZ4oRRq0W9-hkng.\u0661"',
    ],
)
def test_what_can_be_no_resources_tag_never_matches(header: str):
    with pytest.raises(PreconditionFailed):
        required_version(header)
