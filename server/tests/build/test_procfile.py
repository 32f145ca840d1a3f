import pytest

from cygnid.build.base import BuildFailed
from cygnid.build.detect import procfile


@pytest.mark.parametrize(
    ("text", "processes"),
    [
        ("web: gunicorn app:app", {"web": "gunicorn app:app"}),
        ("# a comment\r\nweb:  a b \r\n\r\nworker: c\r\n", {"web": "a b", "worker": "c"}),
        ("worker: python work.py # not a comment of ours", {"worker": "python work.py # not a comment of ours"}),
        ("web:a", {"web": "a"}),
    ],
)
def test_processes_are_read(text: str, processes: dict[str, str]) -> None:
    assert procfile.parse(text) == processes


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("web: a\n<<<<<<< HEAD\nweb: b", "line 2", "merge conflict"),
        ("web: a\n=======\nweb: b", "line 2", "merge conflict"),
        ("web: a\n>>>>>>> theirs", "line 2", "merge conflict"),
        ("web gunicorn", "line 1", "not `type: command`"),
        ("web:", "line 1", "not `type: command`"),
        ("we b: x", "line 1", "not `type: command`"),
        ("web: a\nweb: b", "line 2", "a second time"),
        ("# nothing\n", "no process", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: str, what: str) -> None:
    with pytest.raises(BuildFailed) as caught:
        procfile.parse(text)
    assert caught.value.code == "source_invalid"
    assert line in caught.value.message
    assert what in caught.value.message
