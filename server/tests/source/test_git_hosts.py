"""Hosts that prove who they are: https by a certificate, ssh by a key."""

import datetime as dt
import ipaddress
import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cygnid.source.base import GitRemote, SourceUnavailable
from tests.source.git_harness import FILES, Subject, contents, refused
from tests.source.git_server import GitServer, SshServer, sshd

needs_sshd = pytest.mark.skipif(sshd() is None, reason="this machine has no sshd (Debian: openssh-server)")


def certificate(folder: Path) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself: the file, and that of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_https_from_a_host_that_is_trusted(subject: Subject) -> None:
    subject.repository().commit(FILES)
    files = certificate(subject.folder)
    with GitServer(subject.server.folder, credentials=("git", "a-token")).running(certificate=files) as server:
        remote = GitRemote(url=server.remote("app.git"), token="a-token")
        tree = await subject.fetch(source=subject.source(ca_file=files[0]), repository=remote)
        assert contents(tree) == FILES
        error = await refused(subject.fetch(repository=remote))
        assert isinstance(error, SourceUnavailable)
        assert "certificate" in error.message
        assert len([path for path, headers in server.seen if "Authorization" in headers]) > 0


def keys() -> tuple[str, str]:
    """Private, public."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


@needs_sshd
async def test_ssh_with_a_key_that_the_host_knows(subject: Subject) -> None:
    repository = subject.repository()
    first = repository.commit(FILES)
    private, public = keys()
    server = SshServer(subject.folder / "ssh")
    with server.running(public):
        url = server.url(repository.path)
        tree = await subject.fetch(repository=GitRemote(url=url, ssh_key=private))
        assert contents(tree) == FILES
        assert tree.known_hosts.startswith(f"[127.0.0.1]:{server.port} ssh-")
        known = GitRemote(url=url, ssh_key=private, known_hosts=tree.known_hosts)
        heads = await subject.source().heads(known, ["main"], name="look")
        assert (heads.shas, heads.known_hosts) == ({"main": first}, tree.known_hosts)
        stranger = await refused(subject.fetch(repository=GitRemote(url=url, ssh_key=keys()[0])))
        assert (stranger.message, "publicKey" in stranger.hint) == (
            f"127.0.0.1:{server.port} refused the ssh key.",
            True,
        )
        without = await refused(subject.fetch(repository=GitRemote(url=url)))
        assert "connection" in without.hint


@needs_sshd
async def test_a_host_with_another_key_is_not_given_anything(subject: Subject) -> None:
    repository = subject.repository()
    repository.commit(FILES)
    private, public = keys()
    server = SshServer(subject.folder / "ssh")
    with server.running(public):
        tree = await subject.fetch(repository=GitRemote(url=server.url(repository.path), ssh_key=private))
    for file in ("host", "host.pub"):
        os.unlink(server.folder / file)
    with server.running(public):
        known = GitRemote(url=server.url(repository.path), ssh_key=private, known_hosts=tree.known_hosts)
        error = await refused(subject.fetch(repository=known))
    assert "another key" in error.message
