"""Genuine QUIC Initials in any number: one that a real client made, protected anew under another
destination connection id (RFC 9001 §5.2, §5.4). AES by GnuTLS, which the daemons need anyway."""

from __future__ import annotations

import ctypes
import hashlib
import hmac

SALT_V1 = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")

_gnutls = ctypes.CDLL("libgnutls.so.30")
_gnutls.gnutls_cipher_get_id.argtypes = [ctypes.c_char_p]


class _Datum(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint)]


def _datum(data: bytes) -> _Datum:
    return _Datum(data, len(data))


def _check(code: int):
    if code < 0:
        raise ValueError(f"GnuTLS error {code}")


def _aead(key: bytes, nonce: bytes, header: bytes, data: bytes, encrypt: bool) -> bytes:
    handle = ctypes.c_void_p()
    cipher = _gnutls.gnutls_cipher_get_id(b"AES-128-GCM")
    _check(_gnutls.gnutls_aead_cipher_init(ctypes.byref(handle), cipher,
                                           ctypes.byref(_datum(key))))
    call = _gnutls.gnutls_aead_cipher_encrypt if encrypt else _gnutls.gnutls_aead_cipher_decrypt
    out = ctypes.create_string_buffer(len(data) + 16)
    size = ctypes.c_size_t(len(out))
    code = call(handle, nonce, ctypes.c_size_t(len(nonce)), header, ctypes.c_size_t(len(header)),
                ctypes.c_size_t(16), data, ctypes.c_size_t(len(data)), out, ctypes.byref(size))
    _gnutls.gnutls_aead_cipher_deinit(handle)
    _check(code)
    return out.raw[:size.value]


def _aes_block(key: bytes, block: bytes) -> bytes:
    """AES-ECB of one block: CBC with an IV of zeros."""
    handle = ctypes.c_void_p()
    cipher = _gnutls.gnutls_cipher_get_id(b"AES-128-CBC")
    _check(_gnutls.gnutls_cipher_init(ctypes.byref(handle), cipher, ctypes.byref(_datum(key)),
                                      ctypes.byref(_datum(bytes(16)))))
    out = ctypes.create_string_buffer(16)
    code = _gnutls.gnutls_cipher_encrypt2(handle, block, ctypes.c_size_t(16), out,
                                          ctypes.c_size_t(16))
    _gnutls.gnutls_cipher_deinit(handle)
    _check(code)
    return out.raw


def _expand(secret: bytes, label: str, size: int) -> bytes:
    name = b"tls13 " + label.encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\x00"
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:size]


def _client_keys(destination: bytes) -> tuple[bytes, bytes, bytes]:
    initial = hmac.new(SALT_V1, destination, hashlib.sha256).digest()
    client = _expand(initial, "client in", 32)
    return _expand(client, "quic key", 16), _expand(client, "quic iv", 12), _expand(client, "quic hp", 16)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def is_initial(packet: bytes) -> bool:
    return len(packet) >= 1200 and packet[0] & 0xf0 == 0xc0 and packet[1:5] == b"\x00\x00\x00\x01"


class Template:
    """A client's first Initial without its protection."""

    def __init__(self, packet: bytes):
        assert is_initial(packet)
        destination = packet[6:6 + packet[5]]
        at = 6 + packet[5]
        self.source = packet[at:at + 1 + packet[at]]  # with its length
        at += len(self.source)
        token, at = _varint(packet, at)
        assert token == 0, "made after a Retry"
        length, start = _varint(packet, at)
        self.length_field = packet[at:start]
        assert start + length == len(packet), "more than one packet in the datagram"
        key, iv, hp = _client_keys(destination)
        mask = _aes_block(hp, packet[start + 4:start + 20])
        self.first = packet[0] ^ mask[0] & 0x0f
        pn_size = (self.first & 3) + 1
        self.pn = bytes(a ^ b for a, b in zip(packet[start:start + pn_size], mask[1:]))
        header = bytes([self.first]) + packet[1:start] + self.pn
        self.plain = _aead(key, self._nonce(iv), header, packet[start + pn_size:], False)
        self.destination_size = len(destination)

    def _nonce(self, iv: bytes) -> bytes:
        return (int.from_bytes(iv, "big") ^ int.from_bytes(self.pn, "big")).to_bytes(12, "big")

    def to(self, destination: bytes) -> bytes:
        assert len(destination) == self.destination_size
        key, iv, hp = _client_keys(destination)
        header = (bytes([self.first]) + b"\x00\x00\x00\x01" + bytes([len(destination)]) + destination
                  + self.source + b"\x00" + self.length_field)
        body = _aead(key, self._nonce(iv), header + self.pn, self.plain, True)
        mask = _aes_block(hp, (self.pn + body)[4:20])
        pn = bytes(a ^ b for a, b in zip(self.pn, mask[1:]))
        return bytes([self.first ^ mask[0] & 0x0f]) + header[1:] + pn + body
