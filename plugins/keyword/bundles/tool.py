"""``appliance policy pack | sign | verify | new-key``: for whoever publishes policies. No appliance needs to run.

A private key is read from a file that nobody but its owner may read, and is never typed.
"""

from __future__ import annotations

import argparse
import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.api import ApplianceError, PublicKey, Refused, SigningKey, now, read_private, write_atomically

from .archive import LARGEST, MANIFEST, SIGNATURE, is_packed, pack, unpack
from .manifest import write_manifest
from .opening import manifest_in, open_bundle, open_content, read_policy_files
from .signatures import TrustedKey, fingerprint_of, signature_line

COMMANDS: Mapping[str, str] = {
    "pack": "check the policies in a folder and pack them, unsigned",
    "sign": "sign a bundle, in its place",
    "verify": "check a bundle as a school would, and print what it holds",
    "new-key": "make a key to sign with, and print its public half",
}
"""The words after ``policy`` that are for this tool, and what each does; all others are for the appliance that runs."""

_ENDINGS = (".tar", ".tar.gz", ".tgz")


def main(arguments: Sequence[str], prog: str = "appliance policy") -> str:
    """Do what the words say; returns what to print. Raises ``ApplianceError`` in words."""
    options = _parser(prog).parse_args(arguments)
    try:
        return str(options.run(options))
    except OSError as error:
        raise ApplianceError(f"{error.filename or 'The file'}: {error.strerror or error}.") from error


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description="Make and check bundles of policies.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    packing, signing, verifying, making = (
        commands.add_parser(word, help=does, description=f"{does[:1].upper()}{does[1:]}.")
        for word, does in COMMANDS.items()
    )

    packing.add_argument("folder", type=Path, metavar="FOLDER", help="a folder of policy files (*.yaml)")
    packing.add_argument("--version", type=int, required=True, metavar="N", help="higher than every version before")
    packing.add_argument("--notes", type=Path, required=True, metavar="FILE", help="a text: what has changed")
    packing.add_argument("--name", default="", help="what you call these policies (default: the name of the folder)")
    packing.add_argument("--date", type=_date, default=None, metavar="DAY", help="2026-09-01 (default: today)")
    packing.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="X.tar, or X.tar.gz")
    packing.set_defaults(run=_pack)

    signing.add_argument("bundle", type=Path, metavar="FILE")
    signing.add_argument("--key-file", type=Path, required=True, metavar="FILE", help="what new-key has made")
    signing.set_defaults(run=_sign)

    verifying.add_argument("bundle", type=Path, metavar="FILE")
    verifying.add_argument("--key", default="", help="the public key that must have signed it")
    verifying.set_defaults(run=_verify)

    making.add_argument("file", type=Path, metavar="FILE", help="where the private key is written; it must not exist")
    making.set_defaults(run=_new_key)
    return parser


def _date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-09-01") from None


def _pack(options: argparse.Namespace) -> str:
    if not options.out.name.endswith(_ENDINGS):
        raise Refused(f"{options.out} is no name of a bundle.", "End it with .tar, or with .tar.gz to have it packed.")
    files = {path.name: path.read_bytes() for path in sorted(options.folder.iterdir()) if path.suffix == ".yaml"}
    if not files:
        raise Refused(f"{options.folder} holds no file that ends with .yaml.", "Name the folder of your policies.")
    policies = read_policy_files(files, tell_all=True)
    name = options.name or options.folder.resolve().name
    day = options.date or now().date()
    notes = _text(options.notes)
    content = {**files, MANIFEST: write_manifest(name, options.version, day, notes, files)}
    packed = pack(content, packed=not options.out.name.endswith(".tar"))
    open_content(unpack(packed))  # whatever a school would refuse is refused here
    write_atomically(options.out, packed, 0o644)
    terms = sum(len(policy.terms) for policy in policies)
    return f"{options.out}: {name} version {options.version}, {len(policies)} policies with {terms} terms. Not signed."


def _sign(options: argparse.Namespace) -> str:
    key = SigningKey.of_pem(read_private(options.key_file))
    packed = _octets(options.bundle)
    files = unpack(packed)
    manifest, _ = open_content(files)
    files[SIGNATURE] = signature_line(key, files[MANIFEST])
    write_atomically(options.bundle, pack(files, packed=is_packed(packed)), 0o644)
    return f"{options.bundle}: {manifest.name} version {manifest.version} is signed with {key.public.fingerprint}."


def _verify(options: argparse.Namespace) -> str:
    packed = _octets(options.bundle)
    files = unpack(packed)
    if options.key:
        trusted = [TrustedKey("this key", PublicKey.of_text(options.key))]
        open_bundle(packed, trusted)
        signed = f"Signed with the key that was given ({trusted[0].key.fingerprint})."
    elif SIGNATURE in files:
        signed = f"It says that it is signed with {fingerprint_of(files[SIGNATURE])}; give --key to check that."
    else:
        signed = "Not signed."
    manifest_in(files)
    manifest, policies = open_content(files)
    return "\n".join([
        f"{manifest.name} version {manifest.version} of {manifest.date}",
        signed,
        *(f"  {policy.title}: {len(policy.terms)} terms{' (hidden)' if policy.hidden else ''}" for policy in policies),
        "",
        manifest.notes,
    ])  # fmt: skip


def _new_key(options: argparse.Namespace) -> str:
    key = SigningKey.new()
    descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.pem)
        file.flush()
        os.fsync(descriptor)
    return "\n".join([
        f"The private key is in {options.file}. Nobody but those who publish may read it; keep a copy elsewhere.",
        "Schools that trust you put this into their settings, after they have compared the fingerprint with you:",
        "",
        "plugins:",
        "  keyword:",
        "    bundle:",
        "      keys:",
        f'        - {{name: Your name, key: "{key.public.text}"}}',
        "",
        f"Fingerprint: {key.public.fingerprint}",
    ])  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{path} is no text in UTF-8.", "Save it as UTF-8.") from None


def _octets(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Refused(f"{path} is larger than {LARGEST // 2**20} MiB.")
    return content
