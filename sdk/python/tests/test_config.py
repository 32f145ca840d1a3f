import json

import pytest

from cygni import ConfigurationError, CygniClient, login_file, normalize_base_url, resolve

HOSTED = "https://api.cygni.dev/v1"


@pytest.fixture
def environ(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def keep_login(environ, **login):
    path = login_file(environ)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"apiUrl": "http://own.example:8000/v1", "apiKey": "kept", **login}))


def settled(target):
    return target.api_key, target.base_url


def test_argument_before_environment(environ):
    environ |= {"CYGNI_API_KEY": "env", "CYGNI_API_URL": "http://env.example/v1"}
    assert settled(resolve(None, None, environ)) == ("env", "http://env.example/v1")
    assert settled(resolve("arg", "http://arg.example/v1", environ)) == ("arg", "http://arg.example/v1")


def test_the_hosted_api_is_the_last_choice(environ):
    assert settled(resolve("arg", None, environ)) == ("arg", HOSTED)
    assert settled(resolve(None, None, environ | {"CYGNI_API_KEY": "env", "CYGNI_API_URL": ""})) == ("env", HOSTED)


def test_the_kept_login_gives_both(environ):
    keep_login(environ)
    assert settled(resolve(None, None, environ)) == ("kept", "http://own.example:8000/v1")


def test_the_kept_url_comes_only_with_its_key(environ):
    keep_login(environ)
    assert settled(resolve("arg", None, environ)) == ("arg", HOSTED)
    assert settled(resolve(None, None, environ | {"CYGNI_API_KEY": "env"})) == ("env", HOSTED)


def test_the_kept_key_goes_to_its_url_only(environ):
    keep_login(environ)
    for elsewhere in ("http://evil.example/v1", "https://own.example:8000/v1", "http://own.example/v1"):
        with pytest.raises(ConfigurationError, match=r"is not sent to .* set CYGNI_API_KEY"):
            resolve(None, elsewhere, environ)
        with pytest.raises(ConfigurationError):
            resolve(None, None, environ | {"CYGNI_API_URL": elsewhere})
    assert resolve(None, "http://own.example:8000/v1/", environ).api_key == "kept"


def test_without_any_key_the_error_names_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CYGNI_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="CYGNI_API_KEY"):
        CygniClient()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"apiUrl":"nonsense","apiKey":"k"}'])
def test_a_spoilt_login_file_says_so(environ, content):
    login_file(environ).parent.mkdir(parents=True)
    login_file(environ).write_text(content)
    with pytest.raises(ConfigurationError, match=r"cygni login|not the URL"):
        resolve(None, None, environ)


def test_urls():
    assert normalize_base_url("http://127.0.0.1:8000") == "http://127.0.0.1:8000/v1"
    assert normalize_base_url(" https://cygni.example/api/v1/ ") == "https://cygni.example/api/v1"
    for url in ("", "api.cygni.dev", "ftp://a/v1", "https://user:pw@a/v1", "https://a/v1?x=1", "https://a/#x"):
        with pytest.raises(ConfigurationError):
            normalize_base_url(url)
