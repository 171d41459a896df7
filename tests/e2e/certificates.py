"""Certificates that `ztna ca` refuses to issue, made with openssl."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

from ztna import TRUST_DOMAIN

CONFIG = """
[ca]
default_ca = it
[it]
database = {work}/index
serial = {work}/serial
new_certs_dir = {work}
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = {usage}
{names}
"""


def openssl(*args: str):
    subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


def issue_odd(ca: pathlib.Path, out: pathlib.Path, names: str, start: str = "20200101000000Z",
              end: str = "20370101000000Z", usage: str = "clientAuth,serverAuth",
              key: str = "EC") -> str:
    """A --cert-dir signed by `ca`, with the given subjectAltName (openssl's spelling; empty: none)
    and validity. Returns its path."""
    out.mkdir()
    work = out / "work"
    work.mkdir()
    (work / "index").touch()
    (work / "serial").write_text("1000\n")
    config = work / "config"
    config.write_text(CONFIG.format(work=work, usage=usage,
                                    names=f"subjectAltName = {names}" if names else ""))
    options = {"EC": ["-pkeyopt", "ec_paramgen_curve:P-256"], "RSA": ["-pkeyopt", "rsa_keygen_bits:2048"]}
    openssl("genpkey", "-algorithm", key, *options[key], "-out", str(out / "key.pem"))
    openssl("req", "-new", "-key", str(out / "key.pem"), "-subj", "/CN=odd", "-out", str(work / "csr"))
    openssl("ca", "-batch", "-notext", "-config", str(config), "-extensions", "leaf",
            "-cert", str(ca / "ca-cert.pem"), "-keyfile", str(ca / "ca-key.pem"),
            "-startdate", start, "-enddate", end,
            "-in", str(work / "csr"), "-out", str(out / "cert.pem"))
    shutil.copy(ca / "ca-cert.pem", out / "ca-cert.pem")
    shutil.rmtree(work)
    return str(out)


def spiffe(role: str, name: str) -> str:
    return f"URI:spiffe://{TRUST_DOMAIN}/{role}/{name}"
