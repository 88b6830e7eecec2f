"""Tokens that we sign: the vector of the contract sheet, keys as people paste them, keys that cannot sign."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from apps.channels.wire.jwt import BadKey, SigningKey, signed, signing_key

# Contract sheet on APNs: a throw-away key, its public half, and a signature that PyJWT made and checked.
SCALAR = 0x1122334455667788990011223344556677889900112233445566778899001122
PUBLIC = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZBPjcDGKkizs+qlLohiN1Bn1hjVvp3THZs1sRQKV/uldzpzgVXsKjxzvXGY/Niz//"
    "JEOMJSvyCu7x6CpKwtr2w=="
)
INPUT = (
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IktFWTEyMzQ1NjciLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJURUFNMTIzNDU2IiwiaWF0IjoxNzM1Nzg3MDQ1fQ"
)
SIGNATURE = "42Qz0Y1xTxcl_B0yyj4JVVvTnS4xjeTBlwHUXvVRQwJT-mhB0t8xhVNjLC_y30xw_zulrMqmMLaITKjMe5A_uQ"
CLAIMS = {"iss": "TEAM123456", "iat": 1735787045}


def pem(key: SigningKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def holds(public: ec.EllipticCurvePublicKey, token: str) -> bool:
    text, _, signature = token.rpartition(".")
    both = raw(signature)
    der = encode_dss_signature(int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
    try:
        public.verify(der, text.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return len(both) == 64


def test_es256_as_the_sheet_has_it() -> None:
    public = serialization.load_der_public_key(base64.b64decode(PUBLIC))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert holds(public, f"{INPUT}.{SIGNATURE}")
    token = signed(ec.derive_private_key(SCALAR, ec.SECP256R1()), CLAIMS, "KEY1234567")
    assert token.startswith(f"{INPUT}.") and holds(public, token)
    assert not holds(public, token.replace(".", "A.", 1))
    assert token == signed(ec.derive_private_key(SCALAR, ec.SECP256R1()), CLAIMS, "KEY1234567")


def test_signatures_keep_their_length_whatever_their_numbers() -> None:
    key = ec.derive_private_key(SCALAR, ec.SECP256R1())
    for number in range(600):  # each second number begins with a bit that DER pads, one in 256 is a byte short
        assert holds(key.public_key(), signed(key, {"n": number}))


def test_rs256_can_be_checked_by_whoever_has_the_public_key() -> None:
    key = rsa.generate_private_key(65537, 2048)
    text, _, signature = signed(key, {"iss": "a@b", "scope": "x"}, "k1").rpartition(".")
    key.public_key().verify(raw(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
    header, claims = (json.loads(raw(part)) for part in text.split("."))
    assert header == {"alg": "RS256", "kid": "k1", "typ": "JWT"} and claims == {"iss": "a@b", "scope": "x"}


@pytest.mark.parametrize(
    "pasted",
    [
        lambda text: text,
        lambda text: text.replace("\n", ""),
        lambda text: text.replace("\n", "\\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "".join(text.split("-----")[2].split()),
    ],
)
def test_a_key_is_read_however_it_was_pasted(pasted: object) -> None:
    key = ec.derive_private_key(SCALAR, ec.SECP256R1())
    found = signing_key(pasted(pem(key)), "ES256")  # type: ignore[operator]
    assert isinstance(found, ec.EllipticCurvePrivateKey) and found.private_numbers().private_value == SCALAR


def test_the_older_frames_of_openssl_are_read_too() -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    curve, number = pem(ec.generate_private_key(ec.SECP256R1()), form), pem(rsa.generate_private_key(65537, 2048), form)
    assert isinstance(signing_key(curve, "ES256"), ec.EllipticCurvePrivateKey)
    assert isinstance(signing_key(number, "RS256"), rsa.RSAPrivateKey)
    for key, other in ((curve, "RS256"), (number, "ES256")):
        with pytest.raises(BadKey):
            signing_key(key, other)  # type: ignore[arg-type]


def test_what_cannot_sign_is_refused_without_being_shown() -> None:
    public = ec.derive_private_key(SCALAR, ec.SECP256R1()).public_key()
    spki = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    short = rsa.generate_private_key(65537, 1024)
    for text in ("", "secret words", "-----BEGIN PRIVATE KEY-----", spki, pem(short), pem(_p384())):
        algorithm = "RS256" if text == pem(short) else "ES256"
        with pytest.raises(BadKey) as refused:
            signing_key(text, algorithm)
        assert "secret" not in str(refused.value) and refused.value.__cause__ is None


def _p384() -> SigningKey:
    return ec.generate_private_key(ec.SECP384R1())
