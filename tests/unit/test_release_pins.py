"""Digests of public images: which one is right, and where it is written."""

from tools.release.pins import digest_of, pins, with_pins

OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "123")


def test_file_has_a_reference_for_each_image() -> None:
    """Each line is an image, with a digest or without one."""
    assert pins(f"# a comment\ndebian:12@{OLD}\n\nmariadb:10.11\n") == {
        "debian:12": f"debian:12@{OLD}",
        "mariadb:10.11": "mariadb:10.11",
    }


def test_references_are_replaced_where_they_are() -> None:
    """An old digest goes, and an image whose name only begins alike stays."""
    text = f"image: debian:12@{OLD}  # why\nother: debian:12-slim\nlast: debian:12\n"
    assert with_pins(text, {"debian:12": f"debian:12@{NEW}"}) == (
        f"image: debian:12@{NEW}  # why\nother: debian:12-slim\nlast: debian:12@{NEW}\n"
    )


def test_digest_is_that_of_the_image_s_own_registry() -> None:
    """An image that was also pushed elsewhere has a digest there, which nobody else can pull."""
    references = [f"127.0.0.1:5000/debian@{OTHER}", f"debian@{NEW}"]
    assert digest_of("debian", references) == NEW
    assert digest_of("127.0.0.1:5000/debian", references) == OTHER
    assert digest_of("mariadb", references) is None
