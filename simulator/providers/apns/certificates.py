"""A certification authority that lives as long as the simulator, and the certificate that it gives to the port."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GOOD_FOR = datetime.timedelta(days=30)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + GOOD_FOR)
    )


def server_side(folder: Path) -> ssl.SSLContext:
    """Make both anew; ``apns-ca.pem`` in the folder is what a client has to trust."""
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _builder("Simulated authority", "Simulated authority", root)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = authority.add_extension(x509.BasicConstraints(True, 0), True).add_extension(usage, True)
    known_as = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
    signed_root = authority.add_extension(known_as, False).sign(root, hashes.SHA256())
    (folder / "apns-ca.pem").write_bytes(signed_root.public_bytes(Encoding.PEM))
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    server = (
        _builder("localhost", "Simulated authority", own)
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known_as), False)
        .sign(root, hashes.SHA256())
    )
    return _context(folder, own, server.public_bytes(Encoding.PEM))


def _context(folder: Path, key: ec.EllipticCurvePrivateKey, chain: bytes) -> ssl.SSLContext:
    file = folder / "apns-server.pem"
    file.touch(0o600)
    file.write_bytes(chain + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2"])
    file.unlink()
    return context
