"""Why an image archive is not admitted: a closed set, each with a sentence for the vendor."""

from __future__ import annotations

from enum import StrEnum


class RefusalReason(StrEnum):
    """Code of a check that an archive did not pass."""

    NOT_AN_ARCHIVE = "not_an_archive"
    TRUNCATED = "truncated"
    COMPRESSION = "compression"
    TOO_LARGE = "too_large"
    TOO_MANY_FILES = "too_many_files"
    LAYER_COUNT = "layer_count"
    MANIFEST = "manifest"
    NOT_ONE_IMAGE = "not_one_image"
    DIGEST_MISMATCH = "digest_mismatch"
    ARCHITECTURE = "architecture"
    ROOT_USER = "root_user"
    UNKNOWN_USER = "unknown_user"
    NO_PROGRAM = "no_program"
    VOLUMES = "volumes"
    WORKING_DIRECTORY = "working_directory"
    INJECTED_LIBRARY = "injected_library"
    PATH_TRAVERSAL = "path_traversal"
    SPECIAL_FOLDER = "special_folder"
    SET_USER_ID = "set_user_id"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_INVALID = "signature_invalid"
    SIGNATURE_MANIFEST = "signature_manifest"
    ATTACHMENT = "attachment"
    TOO_SLOW = "too_slow"
    UNREADABLE = "unreadable"

    @property
    def sentence(self) -> str:
        """What the vendor should change."""
        return _SENTENCES[self]


class ArchiveRefused(Exception):  # noqa: N818 - it crosses the process boundary as its reason
    """An archive did not pass a check."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


_SENTENCES = {
    RefusalReason.NOT_AN_ARCHIVE: "The file is not a tar archive. Hand in what `docker save` wrote.",
    RefusalReason.TRUNCATED: "The archive ends before its end. Write or copy it again.",
    RefusalReason.COMPRESSION: "Archive or layer is compressed in a way not read here. Use none, gzip or zstd.",
    RefusalReason.TOO_LARGE: "The image is larger than allowed. Leave out what it does not need.",
    RefusalReason.TOO_MANY_FILES: "The image holds more files than the institution allows.",
    RefusalReason.LAYER_COUNT: "The image has no layers, or more than the institution allows. Merge some.",
    RefusalReason.MANIFEST: "The archive's manifest or configuration is missing or malformed. Save again.",
    RefusalReason.NOT_ONE_IMAGE: "The archive does not hold exactly one image. Save one by its id.",
    RefusalReason.DIGEST_MISMATCH: "The archive's content does not have the digests it claims. Save again.",
    RefusalReason.ARCHITECTURE: "The image is not for Linux on the institution's processor architecture.",
    RefusalReason.ROOT_USER: "The image runs as root. Name another user with USER, best by number.",
    RefusalReason.UNKNOWN_USER: "The image's user is not in its own /etc/passwd. Name the user by number.",
    RefusalReason.NO_PROGRAM: "The image names no program to run. Set ENTRYPOINT or CMD.",
    RefusalReason.VOLUMES: "The image declares volumes. Remove VOLUME; /tmp is writable.",
    RefusalReason.WORKING_DIRECTORY: "WORKDIR is below /proc, /sys or /dev, or is a link. Choose another.",
    RefusalReason.INJECTED_LIBRARY: "The environment loads libraries into every program (LD_PRELOAD).",
    RefusalReason.PATH_TRAVERSAL: "A path in the archive climbs out of it. Use standard tools.",
    RefusalReason.SPECIAL_FOLDER: "/dev, /proc, /sys, /etc, /tmp or /input is not a directory.",
    RefusalReason.SET_USER_ID: "A file runs as its owner (set-user-id). Clear the bit: chmod u-s,g-s.",
    RefusalReason.SIGNATURE_MISSING: "The institution asks for a signature over the image's digest. Add one.",
    RefusalReason.SIGNATURE_INVALID: "The signature is not one over this image's digest by a key known here.",
    RefusalReason.SIGNATURE_MANIFEST: "The signature is over a manifest not in the archive. Save as an OCI archive.",
    RefusalReason.ATTACHMENT: "The additional files are not plain files and folders, each named once. Pack again.",
    RefusalReason.TOO_SLOW: "The archive takes too long to read. Leave out what the image does not need.",
    RefusalReason.UNREADABLE: "The archive cannot be read within the memory allowed for it.",
}
