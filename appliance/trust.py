"""The appliance's own certificate authority, and the certificate that its web pages show.

The authority is made at the first start and lives ten years; a school makes its devices trust it once. It is bound by
critical name constraints (RFC 5280 section 4.2.1.10) to the box's own domain, to ``localhost`` and to private
addresses, so that a stolen key cannot vouch for anything on the internet.

::

    trust/authority/certificate.pem, key.pem      made together, in one step; never made anew where they have been
    trust/server.pem, server.key                  90 days; made anew whenever they do not serve any more

All files are 0600 and all folders 0700; a key with wider permissions is refused. Times are UTC.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance import clock
from appliance.keys_on_disk import TrustError, check_folder, in_words, read_private, sync_folder, write_private

AUTHORITY_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
BACKDATED = timedelta(days=1)
"""How much earlier than now a certificate begins: boxes without a clock battery start a little in the past."""
PROGRAM_WRITTEN = datetime(2025, 1, 1, tzinfo=UTC)
"""Before this there was no such program: a clock that shows an earlier time is certainly wrong."""

PERMITTED_NETWORKS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("127.0.0.0/8", "::1/128"),  # loopback
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # private: RFC 1918, RFC 4193
        *("169.254.0.0/16", "fe80::/10"),  # link-local
    )
)

_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_NAME_BYTES = 64  # ub-common-name and ub-organization-name, RFC 5280 appendix A

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The certificate of the web pages. ``left_out``: names and addresses that the authority may not vouch for."""

    pem: Path
    key: Path
    fingerprint: str
    not_after: datetime
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """The appliance's certificate authority. Get one with ``Authority.open``."""

    def __init__(self, folder: Path, pair: Pair, now: Callable[[], datetime] = clock.now) -> None:
        self._folder = folder
        self._pair = pair
        self._now = now

    @classmethod
    def open(cls, folder: Path, domain: str, school: str, now: Callable[[], datetime] = clock.now) -> Authority:
        """Load the authority from ``folder``, or make it there if there has never been one.

        ``domain`` is the DNS name of the box, ``school`` goes into the name that people see in the list of authorities.
        TrustError if files are damaged, missing or readable by others, if the domain is not covered any more, or if the
        clock is wrong: a new authority would have to be trusted by every device again, so it is never made silently.
        """
        home = folder / "authority"
        name = _host(domain)
        if name is None:
            raise TrustError(
                f"The domain {domain!r} is not a DNS name.", "Set web.domain to a name such as box.internal."
            )
        with in_words(folder):
            check_folder(folder)
            if not home.exists():
                _refuse_if_lost(folder)
                _make_authority(home, name, school, now())
            pair = read_pair(home / "certificate.pem", home / "key.pem", home)
        _check_authority(pair.certificate, home, name, now())
        return cls(folder, pair, now)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, for devices that are to trust it; never its key."""
        return self._pair.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def certificate_der(self) -> bytes:
        """The authority's certificate in DER, as browser policies want it (in Base64)."""
        return self._pair.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as ``AB:CD:...``, to compare by eye."""
        return fingerprint_of(self._pair.certificate)

    @property
    def not_after(self) -> datetime:
        """When the authority ends, in UTC."""
        return self._pair.certificate.not_valid_after_utc

    def ensure_server_certificate(self, names: Sequence[str], addresses: Sequence[str]) -> ServerCertificate:
        """The certificate for these DNS names and IP addresses: the one on disk while it serves, else a new one.

        It serves while it covers them all, is this authority's, and has more than 30 days left. Call it once a day too;
        ``ssl_context(...)`` or ``load_cert_chain`` on the context in use puts a new one to work. Names and addresses
        outside the authority's constraints are left out and named in ``left_out``.
        """
        wanted, left_out = self._sorted_out(names, addresses)
        if not wanted:
            raise TrustError(
                f"None of {', '.join([*names, *addresses]) or 'no names'} may be in a certificate of this box.",
                f"Set web.domain to {' or '.join(_permitted_names(self._pair.certificate))}, or a name below it.",
            )
        pem, key = self._folder / "server.pem", self._folder / "server.key"
        with in_words(self._folder):
            certificate = self._kept_certificate(pem, key, wanted)
            if certificate is None:
                made = self._issue(wanted)
                write_private(
                    key, key_bytes(made.key)
                )  # a crash before the next line leaves a pair that does not match
                write_private(pem, made.certificate.public_bytes(serialization.Encoding.PEM))
                certificate = made.certificate
        covered_names, covered_addresses = _subjects(certificate)
        return ServerCertificate(
            pem=pem,
            key=key,
            fingerprint=fingerprint_of(certificate),
            not_after=certificate.not_valid_after_utc,
            names=covered_names,
            addresses=covered_addresses,
            left_out=left_out,
        )

    def _sorted_out(self, names: Sequence[str], addresses: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
        """What the authority may vouch for, in canonical form, and what it may not."""
        permitted = _permitted_names(self._pair.certificate)
        wanted: set[str] = set()
        left_out: list[str] = []
        for text in names:
            name = _host(text)
            if name is not None and any(_below(name, base) for base in permitted):
                wanted.add(name)
            else:
                left_out.append(text)
        for text in addresses:
            address = _address(text)
            if address is not None and any(address in network for network in PERMITTED_NETWORKS):
                wanted.add(str(address))
            else:
                left_out.append(text)
        return wanted, tuple(dict.fromkeys(left_out))

    def _kept_certificate(self, pem: Path, key: Path, wanted: set[str]) -> x509.Certificate | None:
        """The certificate on disk if it still serves. A damaged one is no loss: no device trusts it by itself."""
        if not (pem.exists() and key.exists()):
            return None
        try:
            certificate = pair_of(pem.read_bytes(), read_private(key)).certificate
            certificate.verify_directly_issued_by(self._pair.certificate)
            covered = {*_subjects(certificate)[0], *_subjects(certificate)[1]}
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return None
        _check_not_from_future(certificate, pem, self._now(), f"delete {pem}; the next start makes a new one.")
        enough_time = certificate.not_valid_after_utc - self._now() > RENEW_BEFORE
        return certificate if enough_time and covered >= wanted else None

    def _issue(self, wanted: set[str]) -> Pair:
        """A new key with a certificate for a TLS server, signed by the authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = self._pair.certificate
        begin = self._now().replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Safeguarding appliance")]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - BACKDATED)
            .not_valid_after(min(begin + SERVER_LIFE, authority.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(text) for text in sorted(wanted)]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_key(self._pair.key.public_key()), critical=False)
        )
        return Pair(builder.sign(self._pair.key, hashes.SHA256()), key)


class KeptAuthority:
    """An authority outside the box that it was made on: what the identity file keeps, for a box that takes its place.

    ``certificate_pem`` and ``key_pem`` are its two files. TrustError if they are damaged or do not belong together.
    """

    def __init__(self, certificate_pem: bytes, key_pem: bytes) -> None:
        try:
            self._pair = pair_of(certificate_pem, key_pem)
            self.domains = tuple(_permitted_names(self._pair.certificate))
        except (ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise TrustError("The certificate authority is damaged.") from error
        self.certificate_pem = certificate_pem
        self.key_pem = key_pem

    @classmethod
    def read(cls, folder: Path) -> KeptAuthority:
        """The authority of this box. TrustError if there is none or it is damaged."""
        home = folder / "authority"
        with in_words(folder):
            pair = read_pair(home / "certificate.pem", home / "key.pem", home)
        return cls(pair.certificate.public_bytes(serialization.Encoding.PEM), key_bytes(pair.key))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as ``AB:CD:...``, to compare by eye."""
        return fingerprint_of(self._pair.certificate)

    @property
    def not_after(self) -> datetime:
        """When the authority ends, in UTC."""
        return self._pair.certificate.not_valid_after_utc

    def check(self, domain: str, now: datetime) -> None:
        """TrustError if a box with this ``web.domain`` could not work with the authority at this moment."""
        if now < self._pair.certificate.not_valid_before_utc:
            raise TrustError(f"The clock says {day(now)}, which is before the authority was made.", "Set the clock.")
        if now > self.not_after:
            raise TrustError(
                f"The authority ended on {day(self.not_after)}.",
                "Start this box without it: it makes a new authority, which every device has to be told to trust.",
            )
        if not any(_below(_host(domain) or "", base) for base in self.domains):
            raise TrustError(
                f"The authority may vouch for {' and '.join(self.domains)} only, but web.domain is {domain} here.",
                f"Set web.domain to {self.domains[0]} in the settings file of this box, then try again.",
            )

    def put_back(self, folder: Path) -> None:
        """Write the authority into the folder of a box that has none. TrustError if it has one."""
        home = folder / "authority"
        with in_words(folder):
            check_folder(folder)
            if home.exists():
                raise TrustError(f"There is a certificate authority in {home} already.", "It stays as it is.")
            keep_pair(home, self._pair)


def ssl_context(certificate: ServerCertificate) -> ssl.SSLContext:
    """TLS for the web pages, with their certificate."""
    return server_context(certificate.pem, certificate.key)


def server_context(pem: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and later, only suites with forward secrecy and authenticated encryption, HTTP/1.1 alone (ALPN)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # for TLS 1.2; all suites of TLS 1.3 are like that
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(pem, key)
    except OSError as error:  # ssl.SSLError too
        raise TrustError(
            f"The certificate {pem} cannot be used: {error.strerror or error}.",
            "Delete it; the next start makes a new one.",
        ) from error
    return context


# ------------------------------------------------------------------------------------------------ making an authority


def _make_authority(home: Path, domain: str, school: str, now: datetime) -> None:
    """Make an authority that has never been there before."""
    if now < PROGRAM_WRITTEN:
        raise TrustError(
            f"This machine's clock says {day(now)}, so its certificates would be useless.",
            "Set the clock, then start again.",
        )
    keep_pair(home, _new_authority(domain, school, now))


def keep_pair(home: Path, pair: Pair) -> None:
    """Write key and certificate in a folder of their own and give it its name at the end: both are there or neither."""
    for left_behind in home.parent.glob(".authority-*"):
        shutil.rmtree(left_behind)
    workshop = Path(tempfile.mkdtemp(prefix=".authority-", dir=home.parent))  # 0700
    write_private(workshop / "key.pem", key_bytes(pair.key))
    write_private(workshop / "certificate.pem", pair.certificate.public_bytes(serialization.Encoding.PEM))
    workshop.rename(home)
    sync_folder(home.parent)


def _new_authority(domain: str, school: str, now: datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    begin = now.replace(microsecond=0)
    bases = [x509.DNSName(base) for base in dict.fromkeys((domain, "localhost"))]
    networks = [x509.IPAddress(network) for network in PERMITTED_NETWORKS]
    name = authority_name(school)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - BACKDATED)
        .not_valid_after(begin + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.NameConstraints([*bases, *networks], excluded_subtrees=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer_key(key.public_key()), critical=False)
    )
    return Pair(builder.sign(key, hashes.SHA256()), key)


def authority_name(school: str, called: str = "Safeguarding appliance authority") -> x509.Name:
    """What people read in their list of authorities. Names hold 64 bytes; a longer one is cut."""
    readable = " ".join("".join(letter if letter.isprintable() else " " for letter in school).split())
    organization = readable.encode()[:_NAME_BYTES].decode(errors="ignore").strip()
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, called)]
    if organization:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def key_usage(digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    """What a key may be used for, and nothing else."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def issuer_key(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    """By which key a certificate was signed."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


# ------------------------------------------------------------------------------------------------------------- checks


def _refuse_if_lost(folder: Path) -> None:
    """A server's certificate without its authority: there was one, and devices may trust it."""
    if (folder / "server.pem").exists():
        raise TrustError(
            f"The certificate authority {folder / 'authority'} has gone, but there was one.",
            f"Put the folder back from a backup. Only if that is impossible: {_start_anew(folder / 'authority')}",
        )


def _check_authority(certificate: x509.Certificate, home: Path, domain: str, now: datetime) -> None:
    """Whether this is an authority as we make them, still valid, and covers the domain."""
    try:
        certificate.verify_directly_issued_by(certificate)
        permitted = _permitted_names(certificate)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise _damaged(home) from error
    _check_not_from_future(certificate, home, now, _start_anew(home))
    if now > certificate.not_valid_after_utc:
        raise TrustError(
            f"The certificate authority {home} ended on {day(certificate.not_valid_after_utc)}.",
            f"To go on: {_start_anew(home)}",
        )
    if not any(_below(domain, base) for base in permitted):
        raise TrustError(
            f"web.domain is {domain}, but this box's authority may vouch for {' and '.join(permitted)} only.",
            f"Set web.domain back to {permitted[0]}, or: {_start_anew(home)}",
        )


def _check_not_from_future(certificate: x509.Certificate, path: Path, now: datetime, way_out: str) -> None:
    """A certificate that begins after now: the clock is wrong, or was wrong when it was made."""
    if now < certificate.not_valid_before_utc:
        made = day(certificate.not_valid_before_utc + BACKDATED)
        raise TrustError(
            f"The clock says {day(now)}, but {path} was made on {made}: the clock is wrong now, or was wrong then.",
            f"Set the clock, then start again. If it is right now: {way_out}",
        )


def _damaged(home: Path) -> TrustError:
    return TrustError(
        f"The certificate authority in {home} is damaged.",
        f"Put its two files back from a backup. Only if that is impossible: {_start_anew(home)}",
    )


def _start_anew(home: Path) -> str:
    return (
        f"move the folder {home.parent} away. The next start makes a new authority, "
        "and every device has to be told to trust it again."
    )


def _permitted_names(authority: x509.Certificate) -> list[str]:
    """The DNS names, each with everything below it, that the authority may vouch for."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    return [str(base.value) for base in constraints.permitted_subtrees or () if isinstance(base, x509.DNSName)]


def _subjects(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The DNS names and the IP addresses that a certificate is for."""
    subjects = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = tuple(str(address) for address in subjects.get_values_for_type(x509.IPAddress))
    return tuple(subjects.get_values_for_type(x509.DNSName)), addresses


# -------------------------------------------------------------------------------------------------- names and addresses


def _host(text: str) -> str | None:
    """A DNS name as certificates carry it: lower case, ASCII, without a dot at the end. None if it is not one."""
    try:
        name = text.strip().rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return name if len(name) <= 253 and _HOST.fullmatch(name) and _address(name) is None else None


def _address(text: str) -> Address | None:
    """An IP address without its zone; an IPv4 address written as IPv6 becomes IPv4. None if it is not one."""
    try:
        address = ipaddress.ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _general_name(text: str) -> x509.GeneralName:
    address = _address(text)
    return x509.DNSName(text) if address is None else x509.IPAddress(address)


def _below(name: str, base: str) -> bool:
    return name == base or name.endswith(f".{base}")


def fingerprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 as ``AB:CD:...``, to compare by eye."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def day(moment: datetime) -> str:
    """``7 November 2026``."""
    return f"{moment.day} {moment:%B %Y}"


# -------------------------------------------------------------------------------------------------------------- files


def read_pair(certificate: Path, key: Path, home: Path) -> Pair:
    """The authority's two files. TrustError if one is missing or damaged, or if they do not belong together."""
    missing = [path for path in (certificate, key) if not path.exists()]
    if missing:
        raise _damaged(home)
    try:
        return pair_of(certificate.read_bytes(), read_private(key))
    except (ValueError, TypeError) as error:
        raise _damaged(home) from error


def pair_of(certificate_pem: bytes, key_pem: bytes) -> Pair:
    """ValueError or TypeError if these are not a certificate and its unencrypted EC key."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except UnsupportedAlgorithm as error:
        raise ValueError("unknown kind of key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key does not belong to the certificate")
    return Pair(certificate, key)


def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 in PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
