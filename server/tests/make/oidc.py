"""A real OpenID Connect provider on loopback: discovery, keys, authorization, tokens. It checks what a provider must
(client, redirect, PKCE, single use of a code); `lies` are what a bad one would say."""

import json
import threading
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwk, jwt

from cygnid.core import clock

CLIENT, SECRET = "cygni-client", "client secret/with: signs"


@dataclass
class Idp:
    """`person`: who signs in at it next."""

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=dict[str, Any])
    lies: dict[str, Any] = field(default_factory=dict[str, Any])
    """Claims that replace the true ones; None: left out."""
    key: Any = field(default_factory=lambda: jwk.RSAKey.generate_key(2048, {"kid": "one"}))
    signs_with: Any = None
    """Another key than the one that is published."""
    algorithm: str = "RS256"
    is_away: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    @property
    def setting(self) -> dict[str, Any]:
        """For CYGNI_OIDC_PROVIDERS."""
        return {"id": "corp", "name": "Corp", "issuer": self.issuer, "clientId": CLIENT, "clientSecret": SECRET}

    def authorize(self, url: str) -> dict[str, str]:
        """What a browser does there: the query with which it comes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        assert set(asked["scope"].split()) == {"openid", "email", "profile"}
        code = token_urlsafe()
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def answer(self, handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        path = urlsplit(handler.path).path
        if self.is_away:
            return 503, {}
        if path == "/.well-known/openid-configuration":
            named = ("authorization", "authorize"), ("token", "token")
            found = {f"{name}_endpoint": f"{self.issuer}/{where}" for name, where in named}
            return 200, {"issuer": self.lies.get("issuer", self.issuer), "jwks_uri": f"{self.issuer}/jwks", **found}
        if path == "/jwks":
            return 200, {"keys": [self.key.as_dict(private=False)]}
        if path == "/token":
            body = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
            return self._token({name: values[0] for name, values in parse_qs(body).items()}, handler)
        return 404, {}

    def _token(self, form: dict[str, str], handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        login = b64decode(handler.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if login != f"{CLIENT}:{SECRET}":
            return 401, {"error": "invalid_client"}
        if asked is None or form["redirect_uri"] != asked["redirect_uri"] or challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            **self.person, **self.lies,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None and name != "issuer"}
        header = {"alg": self.algorithm, "kid": "one"}
        signed = jwt.encode(header, claims, self.signs_with or self.key, algorithms=[self.algorithm])
        return 200, {"id_token": signed, "access_token": "x", "token_type": "Bearer"}


@contextmanager
def provider() -> Iterator[Idp]:
    idp = Idp()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = idp.answer(self)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    idp.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield idp
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
