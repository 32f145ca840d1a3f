"""Secrets at rest: AES-256-GCM under keys derived from the installation's one key (NIST SP 800-38D, RFC 5869)."""

import hmac
import os
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Secrets:
    """Encrypts and keys. `purpose` separates uses: what was sealed for one cannot be opened or compared for another."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("The secret key must be 32 bytes.")
        self._key = key
        self._derived: dict[str, bytes] = {}

    def seal(self, purpose: str, clear: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._of(purpose)).encrypt(nonce, clear, purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Raises cryptography.exceptions.InvalidTag when it was changed, or sealed for another purpose or key."""
        return AESGCM(self._of(purpose)).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())

    def digest(self, purpose: str, clear: bytes) -> bytes:
        """32 bytes, good only for equality: HMAC-SHA-256 under the purpose's own key."""
        return hmac.digest(self._of(purpose), clear, sha256)

    def _of(self, purpose: str) -> bytes:
        if purpose not in self._derived:
            self._derived[purpose] = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(self._key)
        return self._derived[purpose]
