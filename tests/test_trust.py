"""The appliance's authority: checked by openssl, by cryptography's verifier and by real TLS connections."""

from __future__ import annotations

import ipaddress
import os
import shutil
import ssl
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from appliance import clock
from appliance.trust import PERMITTED_NETWORKS, RENEW_BEFORE, SERVER_LIFE, Authority, TrustError, ssl_context

DOMAIN = "safeguarding.internal"
NAMES = (DOMAIN, f"pupils.{DOMAIN}", "localhost")
ADDRESSES = ("127.0.0.1", "::1", "192.168.7.5", "fd12::5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trust"


def opened(folder: Path, domain: str = DOMAIN, now: Callable[[], datetime] = clock.now) -> Authority:
    return Authority.open(folder, domain, "St Mary's School", now)


def later(by: timedelta) -> Callable[[], datetime]:
    return lambda: clock.now() + by


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def leaf_by_stolen_key(folder: Path, *subjects: x509.GeneralName, common_name: str = "thief") -> bytes:
    """What somebody who stole the authority's key could sign, without asking our code."""
    authority = x509.load_pem_x509_certificate((folder / "authority/certificate.pem").read_bytes())
    stolen = serialization.load_pem_private_key((folder / "authority/key.pem").read_bytes(), None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(authority.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock.now() - timedelta(days=1))
        .not_valid_after(clock.now() + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(stolen.public_key()), critical=False)
    )
    if subjects:
        builder = builder.add_extension(x509.SubjectAlternativeName(subjects), critical=False)
    return builder.sign(stolen, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def openssl_says(folder: Path, certificate: Path, *options: str) -> str:
    """ "OK", or what openssl has against the certificate."""
    authority = folder / "authority/certificate.pem"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", str(authority), *options]
    done = subprocess.run([*command, str(certificate)], capture_output=True, text=True, check=False)
    return "OK" if done.returncode == 0 else done.stdout + done.stderr


def greeting(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> tuple[str | None, str | None]:
    """A real handshake over a pair of sockets: the TLS version and the protocol that were agreed."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    back_in, back_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = client.wrap_bio(incoming, outgoing, server_hostname=name)
    box = server.wrap_bio(back_in, back_out, server_side=True)
    finished: set[str] = set()
    while len(finished) < 2:
        for side, label in ((visitor, "visitor"), (box, "box")):
            try:
                side.do_handshake()
                finished.add(label)
            except ssl.SSLWantReadError:
                pass
            back_in.write(outgoing.read())
            incoming.write(back_out.read())
    return visitor.version(), visitor.selected_alpn_protocol()


def visitor_trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


# ------------------------------------------------------------------------------------------------------ the authority


def test_an_authority_is_bound_to_the_box_and_cannot_make_others(folder: Path) -> None:
    authority = opened(folder)
    certificate = x509.load_pem_x509_certificate(authority.certificate_pem)
    extension = certificate.extensions.get_extension_for_class

    constraints = extension(x509.NameConstraints)
    assert constraints.critical
    permitted = constraints.value.permitted_subtrees or []
    assert [base.value for base in permitted if isinstance(base, x509.DNSName)] == [DOMAIN, "localhost"]
    assert {base.value for base in permitted if isinstance(base, x509.IPAddress)} == set(PERMITTED_NETWORKS)
    assert {str(network) for network in PERMITTED_NETWORKS} == {
        *("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
        *("fc00::/7", "fe80::/10"),
    }

    assert extension(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    usage = extension(x509.KeyUsage).value
    others = (usage.crl_sign, usage.digital_signature, usage.key_agreement, usage.key_encipherment)
    assert usage.key_cert_sign
    assert not any(others)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert timedelta(days=3652) <= certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert certificate.not_valid_before_utc <= clock.now() - timedelta(days=1)
    assert "St Mary's School" in certificate.subject.rfc4514_string()


def test_a_domain_that_is_localhost_is_named_once(folder: Path) -> None:
    certificate = x509.load_der_x509_certificate(opened(folder, "localhost").certificate_der)
    permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    assert [base.value for base in permitted if isinstance(base, x509.DNSName)] == ["localhost"]


def test_the_fingerprint_is_the_one_that_openssl_prints(folder: Path) -> None:
    authority = opened(folder)
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", folder / "authority/certificate.pem"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip().partition("=")[2] == authority.fingerprint
    assert x509.load_der_x509_certificate(authority.certificate_der).fingerprint(hashes.SHA256()) == bytes.fromhex(
        authority.fingerprint.replace(":", "")
    )


@pytest.mark.parametrize("school", ["", "  \n", "Ysgol Gyfun Gŵyr", "A" * 500, "É" * 40, "two\x00\nlines\udc80"])
def test_any_name_of_a_school_can_be_in_the_certificate(folder: Path, school: str) -> None:
    authority = Authority.open(folder, DOMAIN, school)
    kept = authority.ensure_server_certificate(NAMES, ADDRESSES)
    assert openssl_says(folder, kept.pem) == "OK"


def test_files_and_folders_are_for_their_owner_alone_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    finally:
        os.umask(before)
    modes = {path.relative_to(folder): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes.pop(Path("authority")) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(modes) == {
        *(Path("authority/certificate.pem"), Path("authority/key.pem")),
        *(Path("server.pem"), Path("server.key")),
    }
    assert set(modes.values()) == {0o600}


def test_the_second_start_finds_everything_as_it_was(folder: Path) -> None:
    first = opened(folder)
    certificate = first.ensure_server_certificate(NAMES, ADDRESSES)
    before = contents(folder)
    second = opened(folder)
    assert second.ensure_server_certificate(NAMES, ADDRESSES) == certificate
    assert second.fingerprint == first.fingerprint
    assert contents(folder) == before


def test_what_a_power_cut_left_behind_does_not_matter(folder: Path) -> None:
    workshop = folder / ".authority-halfway"
    workshop.mkdir(parents=True)
    folder.chmod(0o700)
    (workshop / "key.pem").write_text("half a k")
    opened(folder)
    assert [path.name for path in folder.iterdir()] == ["authority"]


# ----------------------------------------------------------------------------------- what must never be done silently


def damage_certificate(folder: Path) -> None:
    path = folder / "authority/certificate.pem"
    path.write_bytes(path.read_bytes()[:200])


def damage_one_bit(folder: Path) -> None:
    """Still a certificate, still of this key, but not what was signed."""
    path = folder / "authority/certificate.pem"
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    changed = certificate.public_bytes(serialization.Encoding.DER).replace(
        b"safeguarding.internal", b"safeguarding.jnternal"
    )
    path.write_bytes(x509.load_der_x509_certificate(changed).public_bytes(serialization.Encoding.PEM))


def damage_key(folder: Path) -> None:
    (folder / "authority/key.pem").write_bytes(b"")


def lose_key(folder: Path) -> None:
    (folder / "authority/key.pem").unlink()


def lose_certificate(folder: Path) -> None:
    (folder / "authority/certificate.pem").unlink()


def swap_key(folder: Path) -> None:
    shutil.copy(folder / "server.key", folder / "authority/key.pem")


def swap_both(folder: Path) -> None:
    """A certificate and key that belong together but are no authority."""
    shutil.copy(folder / "server.key", folder / "authority/key.pem")
    shutil.copy(folder / "server.pem", folder / "authority/certificate.pem")


def lose_authority(folder: Path) -> None:
    shutil.rmtree(folder / "authority")


@pytest.mark.parametrize(
    "harm",
    [damage_certificate, damage_one_bit, damage_key, lose_key, lose_certificate, swap_key, swap_both, lose_authority],
)
def test_a_damaged_authority_is_explained_and_left_as_it_is(folder: Path, harm: Callable[[Path], None]) -> None:
    opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    harm(folder)
    before = contents(folder)
    with pytest.raises(TrustError, match="backup") as refusal:
        opened(folder)
    assert str(folder) in str(refusal.value)
    assert "every device" in refusal.value.todo
    assert contents(folder) == before


@pytest.mark.parametrize("file", ["authority/key.pem", "server.key"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_may_use_is_refused(folder: Path, file: str, mode: int) -> None:
    opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    (folder / file).chmod(mode)
    with pytest.raises(TrustError, match=f"{mode:04o}") as refusal:
        opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    assert f"chmod 600 {folder / file}" in refusal.value.todo


def test_a_key_that_is_a_link_to_elsewhere_is_refused(folder: Path, tmp_path: Path) -> None:
    opened(folder)
    key = folder / "authority/key.pem"
    key.rename(tmp_path / "elsewhere.pem")
    key.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(TrustError, match=r"key\.pem"):
        opened(folder)


def test_a_folder_into_which_others_may_write_is_refused(folder: Path) -> None:
    opened(folder)
    folder.chmod(0o770)
    with pytest.raises(TrustError, match="Others") as refusal:
        opened(folder)
    assert refusal.value.todo == f"Run: chmod 700 {folder}"


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TrustError, match="file"):
        opened(tmp_path / "file" / "trust")


def test_a_changed_domain_is_explained_and_a_narrower_one_is_fine(folder: Path) -> None:
    fingerprint = opened(folder).fingerprint
    with pytest.raises(TrustError, match=r"school\.internal") as refusal:
        opened(folder, "school.internal")
    assert DOMAIN in refusal.value.todo
    assert "every device" in refusal.value.todo
    assert opened(folder, f"box.{DOMAIN}").fingerprint == fingerprint
    assert opened(folder, f"{DOMAIN.upper()}.").fingerprint == fingerprint


@pytest.mark.parametrize("domain", ["", "two words", "a..b", "-a.b", "192.168.1.1", "x" * 64, "*.internal", "a_b.c"])
def test_a_domain_that_is_no_dns_name_is_refused(folder: Path, domain: str) -> None:
    with pytest.raises(TrustError, match="not a DNS name"):
        opened(folder, domain)
    assert not folder.exists()


# -------------------------------------------------------------------------------------------------------------- clocks


def test_no_authority_is_made_by_a_clock_that_is_certainly_wrong(folder: Path) -> None:
    with pytest.raises(TrustError, match="1 January 1970") as refusal:
        opened(folder, now=lambda: datetime(1970, 1, 1, 0, 5, tzinfo=UTC))
    assert "Set the clock" in refusal.value.todo
    assert not (folder / "authority").exists()


def test_an_authority_from_the_future_is_explained(folder: Path) -> None:
    opened(folder, now=later(timedelta(days=3)))
    with pytest.raises(TrustError, match="clock") as refusal:
        opened(folder)
    assert "Set the clock" in refusal.value.todo


def test_a_server_certificate_from_the_future_is_explained(folder: Path) -> None:
    authority = opened(folder)
    opened(folder, now=later(timedelta(days=3))).ensure_server_certificate(NAMES, ADDRESSES)
    with pytest.raises(TrustError, match=r"server\.pem") as refusal:
        authority.ensure_server_certificate(NAMES, ADDRESSES)
    assert "Set the clock" in refusal.value.todo


def test_a_clock_that_lost_a_few_hours_is_no_trouble(folder: Path) -> None:
    opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    behind = opened(folder, now=later(-timedelta(hours=20)))
    assert behind.ensure_server_certificate(NAMES, ADDRESSES) == opened(folder).ensure_server_certificate(
        NAMES, ADDRESSES
    )


def test_an_authority_that_ended_is_explained(folder: Path) -> None:
    ends = opened(folder).not_after
    with pytest.raises(TrustError, match="ended on") as refusal:
        opened(folder, now=lambda: ends + timedelta(seconds=1))
    assert "every device" in refusal.value.todo


# --------------------------------------------------------------------------------------------- the server's certificate


def test_a_server_certificate_is_accepted_by_openssl_for_each_name_and_address(folder: Path) -> None:
    kept = opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    for name in NAMES:
        assert openssl_says(folder, kept.pem, "-verify_hostname", name) == "OK"
    for address in ADDRESSES:
        assert openssl_says(folder, kept.pem, "-verify_ip", address) == "OK"
    assert "hostname mismatch" in openssl_says(folder, kept.pem, "-verify_hostname", "example.org")
    assert set(kept.names) == set(NAMES)
    assert set(kept.addresses) == set(ADDRESSES)
    assert kept.left_out == ()


def test_a_server_certificate_is_accepted_by_a_second_verifier(folder: Path) -> None:
    authority = opened(folder)
    kept = authority.ensure_server_certificate(NAMES, ADDRESSES)
    leaf = x509.load_pem_x509_certificate(kept.pem.read_bytes())
    policy = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(authority.certificate_pem)]))
    for subject in (*map(x509.DNSName, NAMES), *(x509.IPAddress(ipaddress.ip_address(text)) for text in ADDRESSES)):
        chain = policy.build_server_verifier(subject).verify(leaf, [])
        assert len(chain) == 2
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("example.org")).verify(leaf, [])


@pytest.mark.parametrize(
    "subject",
    [
        x509.DNSName("www.google.com"),
        x509.DNSName("notsafeguarding.internal"),
        x509.DNSName("internal"),
        x509.IPAddress(ipaddress.ip_address("8.8.8.8")),
        x509.IPAddress(ipaddress.ip_address("172.32.0.1")),
        x509.IPAddress(ipaddress.ip_address("2a00:1450:4009:80b::200e")),
    ],
    ids=lambda subject: str(subject.value),
)
def test_a_stolen_key_cannot_vouch_for_the_internet(folder: Path, tmp_path: Path, subject: x509.GeneralName) -> None:
    authority = opened(folder)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(leaf_by_stolen_key(folder, subject))
    assert "permitted subtree violation" in openssl_says(folder, forged)

    assert isinstance(subject, x509.DNSName | x509.IPAddress)
    policy = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(authority.certificate_pem)]))
    with pytest.raises(VerificationError):
        policy.build_server_verifier(subject).verify(x509.load_pem_x509_certificate(forged.read_bytes()), [])


def test_the_forgery_itself_is_sound_so_that_its_refusal_proves_something(folder: Path, tmp_path: Path) -> None:
    opened(folder)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(leaf_by_stolen_key(folder, x509.DNSName(f"x.{DOMAIN}")))
    assert openssl_says(folder, forged) == "OK"


def test_a_stolen_key_cannot_use_the_old_place_of_a_name_either(folder: Path, tmp_path: Path) -> None:
    opened(folder)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(leaf_by_stolen_key(folder, common_name="www.google.com"))
    assert "permitted subtree violation" in openssl_says(folder, forged)


def test_names_and_addresses_outside_the_constraints_are_left_out_and_named(folder: Path) -> None:
    asked = (
        ["LOCALHOST.", "example.org", "evilsafeguarding.internal", "bücher.safeguarding.internal", "my box"],
        ["::ffff:10.0.0.7", "fe80::1%eth0", "192.0.2.2", "0.0.0.0", "2001:db8::1", "not an address"],
    )
    kept = opened(folder).ensure_server_certificate(*asked)
    assert kept.names == ("localhost", "xn--bcher-kva.safeguarding.internal")
    assert kept.addresses == ("10.0.0.7", "fe80::1")
    assert kept.left_out == (
        *("example.org", "evilsafeguarding.internal", "my box"),
        *("192.0.2.2", "0.0.0.0", "2001:db8::1", "not an address"),
    )
    assert openssl_says(folder, kept.pem) == "OK"
    assert opened(folder).ensure_server_certificate(*asked) == kept


def test_a_certificate_for_nothing_is_refused(folder: Path) -> None:
    with pytest.raises(TrustError, match=r"example\.org") as refusal:
        opened(folder).ensure_server_certificate(["example.org"], ["8.8.8.8"])
    assert DOMAIN in refusal.value.todo
    assert not (folder / "server.pem").exists()


def test_a_certificate_is_kept_while_it_covers_what_is_asked_and_has_time_left(folder: Path) -> None:
    first = opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    assert first.not_after - clock.now() > SERVER_LIFE - timedelta(minutes=5)

    fewer = opened(folder).ensure_server_certificate([DOMAIN], ["127.0.0.1"])
    assert fewer.fingerprint == first.fingerprint
    almost = SERVER_LIFE - RENEW_BEFORE - timedelta(hours=1)
    assert opened(folder, now=later(almost)).ensure_server_certificate(NAMES, ADDRESSES) == first

    due = opened(folder, now=later(almost + timedelta(hours=2))).ensure_server_certificate(NAMES, ADDRESSES)
    assert due.fingerprint != first.fingerprint
    assert due.not_after > first.not_after


def test_a_new_address_means_a_new_certificate_by_the_same_authority(folder: Path) -> None:
    authority = opened(folder)
    first = authority.ensure_server_certificate(NAMES, ADDRESSES)
    moved = opened(folder).ensure_server_certificate(NAMES, [*ADDRESSES, "10.1.2.3"])
    assert moved.fingerprint != first.fingerprint
    assert "10.1.2.3" in moved.addresses
    assert openssl_says(folder, moved.pem, "-verify_ip", "10.1.2.3") == "OK"
    assert opened(folder).fingerprint == authority.fingerprint


@pytest.mark.parametrize("file", ["server.pem", "server.key"])
@pytest.mark.parametrize("harm", ["cut", "empty", "gone"])
def test_a_damaged_server_certificate_is_simply_replaced(folder: Path, file: str, harm: str) -> None:
    first = opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    path = folder / file
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if harm == "cut" else b"")
    again = opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    assert again.fingerprint != first.fingerprint
    assert openssl_says(folder, again.pem) == "OK"
    ssl_context(again)


def test_a_key_and_a_certificate_of_two_makings_are_replaced(folder: Path) -> None:
    authority = opened(folder)
    authority.ensure_server_certificate(NAMES, ADDRESSES)
    old_key = (folder / "server.key").read_bytes()
    authority.ensure_server_certificate([*NAMES, f"new.{DOMAIN}"], ADDRESSES)
    (folder / "server.key").write_bytes(old_key)  # what a power cut between the two files leaves
    ssl_context(authority.ensure_server_certificate(NAMES, ADDRESSES))


def test_a_certificate_of_another_authority_is_replaced(folder: Path, tmp_path: Path) -> None:
    foreign = opened(tmp_path / "other").ensure_server_certificate(NAMES, ADDRESSES)
    authority = opened(folder)
    shutil.copy2(foreign.pem, folder / "server.pem")
    shutil.copy2(foreign.key, folder / "server.key")
    kept = authority.ensure_server_certificate(NAMES, ADDRESSES)
    assert kept.fingerprint != foreign.fingerprint
    assert openssl_says(folder, kept.pem) == "OK"


def test_a_server_certificate_never_outlives_its_authority(folder: Path) -> None:
    ends = opened(folder).not_after
    late = opened(folder, now=lambda: ends - timedelta(days=10)).ensure_server_certificate(NAMES, ADDRESSES)
    assert late.not_after == ends


# ----------------------------------------------------------------------------------------------------------------- TLS


def test_a_browser_that_trusts_the_authority_connects_and_another_does_not(folder: Path) -> None:
    authority = opened(folder)
    server = ssl_context(authority.ensure_server_certificate(NAMES, ADDRESSES))
    for name in (*NAMES, *ADDRESSES):
        assert greeting(server, visitor_trusting(authority), name) == ("TLSv1.3", "http/1.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        greeting(server, visitor_trusting(authority), "example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(server, ssl.create_default_context(), DOMAIN)


def test_a_context_in_use_takes_a_renewed_certificate(folder: Path) -> None:
    authority = opened(folder)
    server = ssl_context(authority.ensure_server_certificate([DOMAIN], []))
    renewed = authority.ensure_server_certificate([DOMAIN, f"new.{DOMAIN}"], [])
    server.load_cert_chain(renewed.pem, renewed.key)
    assert greeting(server, visitor_trusting(authority), f"new.{DOMAIN}") == ("TLSv1.3", "http/1.1")


def test_old_tls_and_weak_suites_are_refused(folder: Path) -> None:
    authority = opened(folder)
    server = ssl_context(authority.ensure_server_certificate(NAMES, ADDRESSES))
    assert server.minimum_version == ssl.TLSVersion.TLSv1_2
    assert server.options & ssl.OP_NO_COMPRESSION
    offered = [suite["name"] for suite in server.get_ciphers()]
    assert all(name.startswith(("TLS_", "ECDHE-")) and ("GCM" in name or "CHACHA20" in name) for name in offered)

    older = visitor_trusting(authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    assert greeting(server, older, DOMAIN)[0] == "TLSv1.2"
    older.set_ciphers("ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(ssl.SSLError):
        greeting(server, older, DOMAIN)


def test_a_certificate_that_has_gone_since_is_explained(folder: Path) -> None:
    kept = opened(folder).ensure_server_certificate(NAMES, ADDRESSES)
    kept.key.write_text("damaged meanwhile")
    with pytest.raises(TrustError, match=r"server\.pem"):
        ssl_context(kept)
