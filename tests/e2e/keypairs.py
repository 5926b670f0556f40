"""Keys that are another key in disguise, and how such are named."""
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec


# Orders of the base points ([SEC2] 2.4.2, 2.5.1).
ORDER = {
    'secp256r1': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    'secp384r1': 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
}


def twin(key):
    """Who has d has n - d: the point with the same x and another y."""
    n = ORDER[key.curve.name]
    other = ec.derive_private_key(n - key.private_numbers().private_value,
                                  key.curve)
    a, b = (k.public_key().public_numbers() for k in (key, other))
    assert a.x == b.x and a.y != b.y
    return other


def modulus_hash(key):
    """As openssl-blacklist has it."""
    n = key.public_key().public_numbers().n
    return hashlib.sha1(b'Modulus=%X\n' % n).hexdigest()[20:]
