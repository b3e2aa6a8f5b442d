"""HMAC-SHA256 in parts, for languages that only have SHA-256: sha256(outer + sha256(inner + message))."""

BLOCK = 64


def hmac_pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the inner and the outer pad of a key of at most 64 bytes."""
    padded = key.ljust(BLOCK, b"\0")
    return bytes(byte ^ 0x36 for byte in padded), bytes(byte ^ 0x5C for byte in padded)
