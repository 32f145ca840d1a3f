"""What a checkpoint says and how it is signed: Ed25519 (RFC 8032), so that whoever has the public key can check it."""

from base64 import b64decode, b64encode
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cygnid.core.secrets import Secrets

_PURPOSE = "audit key"


class Signer(msgspec.Struct, frozen=True):
    """A key in use."""

    key_id: str
    public_key: str
    """Base64 of its 32 bytes."""
    key: Ed25519PrivateKey

    def sign(self, said: bytes) -> str:
        """Base64 of the signature."""
        return b64encode(self.key.sign(said)).decode()

    def signed(self, said: bytes, signature: str) -> bool:
        """Whether this key made that signature."""
        try:
            self.key.public_key().verify(b64decode(signature, validate=True), said)
        except (InvalidSignature, ValueError):
            return False
        return True


def message(team_id: str | None, seq: int, hash_: str) -> bytes:
    """What a checkpoint signs: three lines. The chain of the installation is called `null`, as in a query."""
    return f"{team_id or 'null'}\n{seq}\n{hash_}".encode()


def pruned_message(team_id: str | None, through_seq: int, hash_: str) -> bytes:
    """What the row signs that stands for removed ones: no checkpoint can be taken for it."""
    return b"pruned\n" + message(team_id, through_seq, hash_)


def new_signer() -> Signer:
    return _signer(Ed25519PrivateKey.generate())


def seal(secrets: Secrets, signer: Signer) -> bytes:
    return secrets.seal(_PURPOSE, signer.key.private_bytes_raw())


def unsealed(secrets: Secrets, sealed: bytes) -> Signer | None:
    """None: this was not sealed by this installation's key."""
    try:
        return _signer(Ed25519PrivateKey.from_private_bytes(secrets.open(_PURPOSE, sealed)))
    except InvalidTag:
        return None


def _signer(key: Ed25519PrivateKey) -> Signer:
    public = key.public_key().public_bytes_raw()
    return Signer(f"key_{sha256(public).hexdigest()[:16]}", b64encode(public).decode(), key)
