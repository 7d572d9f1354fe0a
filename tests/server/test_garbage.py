"""What of a repository can go: decided with values."""

from __future__ import annotations

import pytest

from modelpack.server.registry.names import ContentDigest
from modelpack.server.registry.storage.garbage import Holdings, Kept, garbage_of

OLD, NOW = 10.0, 100.0


def d(letter):
    return ContentDigest.of(letter.encode())


def decided(manifests, *, tags="", blobs="", young="", untagged=False):
    """Return the letters of what goes; *manifests* maps letters to (blobs, manifests[, refers])."""
    kept = {
        d(letter): Kept(
            blobs=frozenset(map(d, said[0])),
            manifests=frozenset(map(d, said[1])),
            refers=len(said) > 2,
        )
        for letter, said in manifests.items()
    }

    def when(letter):
        return NOW if letter in young else OLD

    holdings = Holdings(
        manifests=kept,
        pushed={d(letter): when(letter) for letter in manifests},
        tagged=frozenset(map(d, tags)),
        blobs={d(letter): when(letter) for letter in blobs},
    )
    garbage = garbage_of(holdings, 50.0, untagged=untagged)
    letters = {d(letter): letter for letter in {*manifests, *blobs}}
    return tuple(
        "".join(sorted(letters[digest] for digest in group))
        for group in (garbage.manifests, garbage.blobs)
    )


@pytest.mark.parametrize(
    ("manifests", "options", "gone"),
    [
        ({}, {"blobs": "ab"}, ("", "ab")),
        ({}, {"blobs": "ab", "young": "b"}, ("", "a")),
        ({"M": ("a", "")}, {"blobs": "ab"}, ("", "b")),
        ({"M": ("a", "")}, {"blobs": "ab", "untagged": True}, ("M", "ab")),
        ({"M": ("a", "")}, {"blobs": "ab", "untagged": True, "tags": "M"}, ("", "b")),
        ({"M": ("a", "")}, {"blobs": "a", "untagged": True, "young": "M"}, ("", "")),
        ({"M": ("a", "")}, {"blobs": "a", "untagged": True, "young": "a"}, ("M", "")),
        ({"R": ("a", "", "refers")}, {"blobs": "a", "untagged": True}, ("", "")),
        ({"I": ("", "M"), "M": ("a", "")}, {"blobs": "a", "untagged": True, "tags": "I"}, ("", "")),
        ({"I": ("", "M"), "M": ("a", "")}, {"blobs": "a", "untagged": True}, ("IM", "a")),
        ({"I": ("", "M"), "M": ("a", "")}, {"blobs": "a", "untagged": True, "tags": "M"},
         ("I", "")),
        ({"I": ("", "J"), "J": ("", "M"), "M": ("a", ""), "N": ("ab", "")},
         {"blobs": "ab", "untagged": True, "tags": "I"}, ("N", "b")),
        ({"I": ("", "M", "refers"), "M": ("a", "")}, {"blobs": "a", "untagged": True}, ("", "")),
        ({"I": ("", "X"), "M": ("x", "")}, {"blobs": "a", "untagged": True, "tags": "I"},
         ("M", "a")),
    ],
)  # fmt: skip
def test_what_goes_is_old_and_needed_by_nothing_that_stays(manifests, options, gone):
    assert decided(manifests, **options) == gone
