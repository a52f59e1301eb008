"""Why an image is not admitted, or is admitted with a note: closed sets, each code with a sentence for the vendor."""

from __future__ import annotations

from dataclasses import dataclass
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


class AdmissionNote(StrEnum):
    """Code of what is harmless under the posture, or made so, but worth a look: the image is admitted."""

    SET_USER_ID_FILES = "set_user_id_files"
    DEVICE_NODES = "device_nodes"
    HEALTH_CHECK_IGNORED = "health_check_ignored"
    ON_BUILD_IGNORED = "on_build_ignored"
    PACKAGES_INCOMPLETE = "packages_incomplete"

    @property
    def sentence(self) -> str:
        """What was found, and why it does not matter."""
        return _NOTES[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of admission: what, which codes it ends with, and how it is done."""

    what: str
    codes: tuple[RefusalReason | AdmissionNote, ...]
    otherwise: str


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
    RefusalReason.SET_USER_ID: "A file runs as its owner or has capabilities. Clear them: chmod u-s,g-s, setcap -r.",
    RefusalReason.SIGNATURE_MISSING: "The institution asks for a signature over the image's digest. Add one.",
    RefusalReason.SIGNATURE_INVALID: "The signature is not one over this image's digest by a key known here.",
    RefusalReason.SIGNATURE_MANIFEST: "The signature is over a manifest not in the archive. Save as an OCI archive.",
    RefusalReason.ATTACHMENT: "The additional files are not plain files and folders, each named once. Pack again.",
    RefusalReason.TOO_SLOW: "The archive takes too long to read. Leave out what the image does not need.",
    RefusalReason.UNREADABLE: "The archive cannot be read within the memory allowed for it.",
}

_NOTES = {
    AdmissionNote.SET_USER_ID_FILES: "Bits of files that run as their owner, and file capabilities, are cleared.",
    AdmissionNote.DEVICE_NODES: "The image holds device nodes; no container may open or make one.",
    AdmissionNote.HEALTH_CHECK_IGNORED: "HEALTHCHECK is not carried out.",
    AdmissionNote.ON_BUILD_IGNORED: "ONBUILD has no effect: nothing is built.",
    AdmissionNote.PACKAGES_INCOMPLETE: "A package database is damaged or too large; the list of packages is short.",
}

CHECKS: tuple[Check, ...] = (
    Check(
        what="the file is a tar, whole, plain or in gzip or Zstandard",
        codes=(RefusalReason.NOT_AN_ARCHIVE, RefusalReason.TRUNCATED, RefusalReason.COMPRESSION),
        otherwise="read once as a stream, never unpacked",
    ),
    Check(
        what="exactly one image, in the layout of `docker save` (before and since 25) or OCI",
        codes=(RefusalReason.MANIFEST, RefusalReason.NOT_ONE_IMAGE),
        otherwise="build tools' attestations are passed over",
    ),
    Check(
        what="the digest of configuration, manifests and every layer",
        codes=(RefusalReason.DIGEST_MISMATCH,),
        otherwise="computed here; it is the submission's identity",
    ),
    Check(
        what="system and processor architecture",
        codes=(RefusalReason.ARCHITECTURE,),
        otherwise="`admission.architecture`, else the host's",
    ),
    Check(
        what="size, number of layers and files, zip and tar bombs",
        codes=(
            RefusalReason.TOO_LARGE,
            RefusalReason.LAYER_COUNT,
            RefusalReason.TOO_MANY_FILES,
            RefusalReason.TOO_SLOW,
            RefusalReason.UNREADABLE,
        ),
        otherwise="counted while read, in a process with limits of memory and time",
    ),
    Check(
        what="paths that climb out of the archive or of a layer",
        codes=(RefusalReason.PATH_TRAVERSAL,),
        otherwise="in names and in targets of hard links",
    ),
    Check(
        what="not root, and a user that the image knows",
        codes=(RefusalReason.ROOT_USER, RefusalReason.UNKNOWN_USER),
        otherwise="by number, by name, and by the image's own passwd",
    ),
    Check(
        what="a program to run",
        codes=(RefusalReason.NO_PROGRAM,),
        otherwise="ENTRYPOINT or CMD",
    ),
    Check(
        what="no library loaded into every program",
        codes=(RefusalReason.INJECTED_LIBRARY,),
        otherwise="LD_PRELOAD, LD_AUDIT, LD_PROFILE, GCONV_PATH, GLIBC_TUNABLES",
    ),
    Check(
        what="no working directory in /proc, /sys or /dev, nor through a link",
        codes=(RefusalReason.WORKING_DIRECTORY,),
        otherwise="CVE-2024-21626",
    ),
    Check(
        what="no link or file in place of /dev, /proc, /sys, /etc, /tmp, /input",
        codes=(RefusalReason.SPECIAL_FOLDER,),
        otherwise="CVE-2025-31133; what the topmost layer says counts",
    ),
    Check(
        what="no VOLUME",
        codes=(RefusalReason.VOLUMES,),
        otherwise="a volume would lie on the host's disk",
    ),
    Check(
        what="files that run as their owner (set-user-id, capabilities), and device nodes",
        codes=(
            RefusalReason.SET_USER_ID,
            AdmissionNote.SET_USER_ID_FILES,
            AdmissionNote.DEVICE_NODES,
        ),
        otherwise="`admission.set_user_id`: stripped, or refused; nodes are dead in a container",
    ),
    Check(
        what="ONBUILD and HEALTHCHECK",
        codes=(AdmissionNote.ON_BUILD_IGNORED, AdmissionNote.HEALTH_CHECK_IGNORED),
        otherwise="ignored, and noted",
    ),
    Check(
        what="a signature by a key of the policy, when there is one",
        codes=(
            RefusalReason.SIGNATURE_MISSING,
            RefusalReason.SIGNATURE_INVALID,
            RefusalReason.SIGNATURE_MANIFEST,
        ),
        otherwise="over the digest, or cosign's own",
    ),
    Check(
        what="parameters and further files handed in beside the image",
        codes=(RefusalReason.ATTACHMENT,),
        otherwise="plain files and folders; no links, no devices; kept by digest",
    ),
    Check(
        what="the software bill of materials",
        codes=(AdmissionNote.PACKAGES_INCOMPLETE,),
        otherwise="Debian, Alpine, RPM (SQLite, ndb, Berkeley DB), Python; into the record",
    ),
)
"""Everything that admission looks at; ADMISSION.md is made from it."""
