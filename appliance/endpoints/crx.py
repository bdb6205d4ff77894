"""The file format in which browsers take an extension: a zip archive behind a header with a signature (CRX version 3).

The header is a protocol buffer, ``CrxFileHeader`` of ``components/crx_file/crx3.proto`` in Chromium; it has so few
fields that it is written here by hand. The same files and the same key make the same bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

from appliance.keys_on_disk import ExtensionKey

MAGIC = b"Cr24"
VERSION = 3
_SIGNED = b"CRX3 SignedData\x00"
_PROOF_RSA, _SIGNED_HEADER = 2, 10000
_PUBLIC_KEY, _SIGNATURE = 1, 2
_CRX_ID = 1
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold: when files were written is no part of what they are."""


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files by path; the same files make the same bytes."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zipped:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _LONG_AGO)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # as on Linux, wherever it is made
            entry.external_attr = 0o100644 << 16
            zipped.writestr(entry, files[path])
    return whole.getvalue()


def crx(files: Mapping[str, bytes], key: ExtensionKey) -> bytes:
    """The extension as a file that browsers install by policy."""
    zipped = archive(files)
    signed_header = _field(_CRX_ID, key.crx_id)
    signature = key.sign(_SIGNED + struct.pack("<I", len(signed_header)) + signed_header + zipped)
    proof = _field(_PUBLIC_KEY, key.public_key) + _field(_SIGNATURE, signature)
    header = _field(_PROOF_RSA, proof) + _field(_SIGNED_HEADER, signed_header)
    return MAGIC + struct.pack("<II", VERSION, len(header)) + header + zipped


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: tag (wire type 2), length, content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(written) + bytes([value])
