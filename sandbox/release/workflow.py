"""The steps of a release, each of which one actor takes and the ledger records."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.canonical import digest, digest_bytes
from sandbox.disclosure.screen import why_verdicts_only
from sandbox.errors import ReleaseError, ReleaseRefusedError, UsageError
from sandbox.evaluations import evaluation as evaluations
from sandbox.evaluations.evaluation import Evaluation
from sandbox.evidence.durable import write_durable
from sandbox.evidence.ledger import Ledger
from sandbox.institution.policy import load_policy
from sandbox.institution.two_people import govern
from sandbox.institution.views import EXPORTED, SEEN, note_once_a_day
from sandbox.institution.workspace import Workspace, entry, open_ledger
from sandbox.plan.protocols import find as find_protocol
from sandbox.release.alone import releases_alone
from sandbox.release.certificate import write_certificate
from sandbox.release.content import DOCUMENT, PAGE, Content, content_digest
from sandbox.release.draft import Draft, make_draft, read_request
from sandbox.release.issued import TOLD, issued, issued_folder
from sandbox.release.state import Decision, Standing, standing
from sandbox.reuse.chosen import choose
from sandbox.reuse.mechanisms import Mechanism

_FILES = (DOCUMENT, PAGE)
_KINDS = ("release-requested", "release-reviewed", "release-issued")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a reviewer sees: exactly the bytes that would leave, and what they mean for the hold-out.

    ``change``: difference from the last release of this hold-out version to the same vendor, as a unified diff.
    """

    standing: Standing
    content: Content
    draft: Draft
    change: str


def request(
    workspace: Workspace,
    identifier: str,
    *,
    patterns: Sequence[str] | None = None,
    mechanism: Mechanism | None = None,
) -> Standing:
    """Write down the bytes that would leave of an evaluation, and ask for their review.

    The same request again changes nothing; a request whose bytes changed begins its reviews anew.

    Raises:
        ReleaseRefusedError: a rule, the audit or the budget says no.
        UsageError: there is no such finished evaluation.
    """
    with releases_alone(workspace), open_ledger(workspace) as ledger:
        ledger.require("release-requested")
        item = evaluations.find(workspace, identifier)
        policy = govern(workspace, ledger)
        chosen = tuple(patterns or policy.release.fields)
        answers = choose(find_protocol(workspace, item.protocol).protocol.release, policy.reuse)
        how: Mechanism = mechanism or answers.mechanism
        release = "r-" + digest([item.id, how, list(chosen)]).removeprefix("sha256:")[:16]
        draft = make_draft(workspace, ledger, item, release=release, patterns=chosen, mechanism=how)
        if draft.cost == 0 and ledger.find(kind="release-issued", release=release):
            # Told already, to the last field: a second telling needs no second review.
            return _standing(workspace, ledger, release)
        folder = workspace.release(release)
        folder.mkdir(parents=True, exist_ok=True)
        write_durable(folder / "request.json", draft.request)
        write_certificate(folder, draft.certificate)
        for name, data in draft.content.files.items():
            write_durable(folder / name, data)
        subject = {"release": release, "evaluation": item.id, "content": draft.content.digest}
        known = ledger.find(kind="release-requested", release=release)
        if not known or known[-1].subject["content"] != draft.content.digest:
            detail = {"bits": round(draft.cost, 6), "fields": len(draft.fields)}
            ledger.append(entry("release-requested", subject=subject, detail=detail))
        return _standing(workspace, ledger, release)


def review(workspace: Workspace, identifier: str) -> Sheet:
    """What an approver reads. That it was read is entered into the ledger.

    Raises:
        ReleaseRefusedError: the bytes in the folder are not the ones that were requested, or could not be issued any
            more.
    """
    with releases_alone(workspace), open_ledger(workspace) as ledger:
        release = _find(ledger, identifier)
        ledger.require("release-viewed")
        now = _standing(workspace, ledger, release)
        _whole(now)
        content = _content(workspace.release(release))
        draft = _again(workspace, ledger, release)
        if now.state != "issued":
            _still_holds(draft, now)
        subject = {"release": release, "evaluation": now.evaluation, "content": now.content}
        ledger.append(entry("release-viewed", subject=subject))
        change = _change(workspace, ledger, draft, content)
        return Sheet(standing=_blinded(now, workspace.actor), content=content, draft=draft, change=change)


def decide(workspace: Workspace, identifier: str, decision: Decision) -> Standing:
    """Approve or reject exactly the bytes that were requested, as one who did not ask for them.

    Raises:
        ReleaseRefusedError: the actor asked for this release, has not read these bytes, or they changed.
        ActorError: the actor is no approver.
    """
    with releases_alone(workspace), open_ledger(workspace) as ledger:
        release = _find(ledger, identifier)
        ledger.require("release-reviewed")
        now = _standing(workspace, ledger, release)
        _whole(now)
        if now.state == "issued":
            raise ReleaseRefusedError(f"{release} was issued already; a decision changes nothing any more.")
        requests = ledger.find(kind="release-requested", release=release)
        if workspace.actor in {each.actor for each in requests}:
            raise ReleaseRefusedError(
                f"{workspace.actor} asked for this release; somebody else must judge it."
            )
        read = ledger.find(kind="release-viewed", release=release, content=now.content)
        if workspace.actor not in {each.actor for each in read}:
            raise ReleaseRefusedError(
                f"{workspace.actor} has not read these bytes. First: proctor release review {release}"
            )
        review_digest = digest([release, now.content, workspace.actor, decision])
        subject = {
            "release": release,
            "evaluation": now.evaluation,
            "content": now.content,
            "review": review_digest,
        }
        ledger.append(entry("release-reviewed", subject=subject, detail={"decision": decision}))
        return _standing(workspace, ledger, release)


def issue(workspace: Workspace, identifier: str, destination: Path | None = None) -> tuple[Standing, Path]:
    """Hand out what was approved: rules, audit and budget are held once more, then it is charged, once.

    Returns:
        The standing, and the folder with the issued bytes.

    Raises:
        ReleaseRefusedError: it is not approved, or what was told since makes it cost or tell too much.
    """
    with releases_alone(workspace), open_ledger(workspace) as ledger:
        release = _find(ledger, identifier)
        ledger.require("release-issued")
        now = _standing(workspace, ledger, release)
        folder = issued_folder(workspace, release, now.content)
        if now.state != "issued":
            _whole(now)
            if now.state != "approved":
                raise ReleaseRefusedError(_why_not(now))
            govern(workspace, ledger)
            draft = _again(workspace, ledger, release)
            _still_holds(draft, now)
            folder.mkdir(exist_ok=True)
            for name, data in draft.content.files.items():
                write_durable(folder / name, data)
            told = draft.told.to_bytes()
            write_durable(folder / TOLD, told)
            # The entry is the charge: whoever is killed before it has told nobody anything.
            ledger.append(
                entry(
                    "release-issued",
                    subject={
                        "release": release,
                        "evaluation": now.evaluation,
                        "content": now.content,
                        "told": digest_bytes(told),
                        "vendor": draft.subject.vendor,
                        "submission": draft.subject.submission,
                        "holdout": draft.subject.holdout,
                        "version": draft.subject.version,
                        "root": draft.root,
                    },
                    detail={
                        "bits": round(draft.cost, 6),
                        "fields": len(draft.fields),
                        "approvals": now.approvals,
                    },
                )
            )
        if destination is not None:
            _copy(_issued_files(folder, now.content), destination)
            about = {"what": "release", "release": release, "evaluation": now.evaluation}
            ledger.append(entry(EXPORTED, subject={**about, "exported": now.content}))
        return _standing(workspace, ledger, release), destination or folder


def releases(workspace: Workspace) -> list[Standing]:
    """Every release, newest request last."""
    with open_ledger(workspace) as ledger:
        note_once_a_day(workspace, ledger, SEEN, {"what": "releases"})
        found = [_standing(workspace, ledger, each) for each in _requested(ledger)]
    return sorted(found, key=lambda each: (each.requested, each.release))


def verdicts_only(workspace: Workspace, evaluation: str) -> str | None:
    """Why of this evaluation only verdicts leave, in a sentence; None where numbers may."""
    item = evaluations.find(workspace, evaluation)
    kind = find_protocol(workspace, item.protocol).protocol.task.kind
    return why_verdicts_only(kind, load_policy(workspace.policy_path).disclosure)


def withheld(workspace: Workspace, release: str) -> list[tuple[str, str]]:
    """What was asked for and would not leave: each field's path and the reason, in words that name no count."""
    document = json.loads(_read(workspace.release(release))[DOCUMENT])
    return [(each["path"], each["reason"]) for each in document["withheld"]]


def show(workspace: Workspace, identifier: str) -> Standing:
    """Where one release stands; who has yet to decide does not see what others decided."""
    with open_ledger(workspace) as ledger:
        now = _standing(workspace, ledger, _find(ledger, identifier))
        subject = {"what": "release", "release": now.release, "content": now.content}
        note_once_a_day(workspace, ledger, SEEN, subject)
        return _blinded(now, workspace.actor)


def issued_page(workspace: Workspace, item: Evaluation) -> Path:
    """The newest page that was issued of an evaluation: all that its vendor may see.

    Raises:
        ReleaseRefusedError: nothing was issued.
    """
    with open_ledger(workspace) as ledger:
        found = ledger.find(kind="release-issued", evaluation=item.id)
        if not found:
            raise ReleaseRefusedError(
                f"Nothing of {item.id} was released, so there is no vendor's copy. See: proctor release request"
            )
        last = found[-1].subject
        folder = issued_folder(workspace, last["release"], last["content"])
        _issued_files(folder, last["content"])
        subject = {"evaluation": item.id, "audience": "vendor"}
        note_once_a_day(workspace, ledger, "report-viewed", subject)
    return folder / PAGE


def _again(workspace: Workspace, ledger: Ledger, release: str) -> Draft:
    """The same draft from what the workspace holds now."""
    asked = read_request(workspace.release(release))
    item = evaluations.find(workspace, asked.evaluation)
    return make_draft(
        workspace, ledger, item, release=release, patterns=asked.patterns, mechanism=asked.mechanism
    )


def _standing(workspace: Workspace, ledger: Ledger, release: str) -> Standing:
    entries = sorted(
        (each for kind in _KINDS for each in ledger.find(kind=kind, release=release)),
        key=lambda each: each.index,
    )
    try:
        on_disk = content_digest(_read(workspace.release(release)))
    except ReleaseError:
        on_disk = None
    needed = load_policy(workspace.policy_path).release.approvals
    revoked = {each.name: each.revoked for each in ledger.actors().values() if each.revoked is not None}
    return standing(entries, on_disk, needed=needed, revoked=revoked)


def _blinded(now: Standing, actor: str) -> Standing:
    """Hide what other approvers decided until the reader has decided, or it no longer matters."""
    if now.state in ("issued", "approved") or any(each.actor == actor for each in now.reviews):
        return now
    return replace(now, reviews=())


def _whole(now: Standing) -> None:
    if now.state == "changed":
        raise ReleaseRefusedError(
            f"The bytes of {now.release} are not the ones that were requested: somebody changed them. Request the "
            "release again; its reviews begin anew."
        )


def _still_holds(draft: Draft, now: Standing) -> None:
    if draft.content.digest != now.content:
        raise ReleaseRefusedError(
            f"Since {now.release} was requested the budget or the rules changed, and with them the bytes that would "
            "leave. Request it again; its reviews begin anew."
        )


def _why_not(now: Standing) -> str:
    if now.state == "rejected":
        return f"{now.release} was rejected. Ask for fewer fields, or by another mechanism."
    return (
        f"{now.release} has {now.approvals} of the {now.needed} approvals that the policy asks for. "
        "See: proctor release review"
    )


def _change(workspace: Workspace, ledger: Ledger, draft: Draft, content: Content) -> str:
    earlier = [
        each
        for each in issued(workspace, ledger, holdout=draft.subject.holdout, version=draft.subject.version)
        if each.vendor == draft.subject.vendor and each.content != content.digest
    ]
    if not earlier:
        return ""
    last = earlier[-1]
    folder = issued_folder(workspace, last.release, last.content)
    old = _issued_files(folder, last.content)[DOCUMENT].decode().splitlines()
    new = content.files[DOCUMENT].decode().splitlines()
    lines = difflib.unified_diff(old, new, last.release, draft.subject.release, lineterm="", n=1)
    return "\n".join(lines)


def _requested(ledger: Ledger) -> list[str]:
    """Ids that the ledger knows: a folder alone was left by a request that was killed."""
    return sorted({str(each.subject["release"]) for each in ledger.find(kind="release-requested")})


def _find(ledger: Ledger, identifier: str) -> str:
    found = [name for name in _requested(ledger) if name.startswith(identifier)]
    if len(found) != 1:
        problem = "No release" if not found else f"{len(found)} releases"
        raise UsageError(f"{problem} with an id that begins with {identifier!r}. See: proctor release list")
    return found[0]


def _content(folder: Path) -> Content:
    return Content(files=_read(folder))


def _read(folder: Path) -> dict[str, bytes]:
    try:
        return {name: (folder / name).read_bytes() for name in _FILES}
    except OSError as error:
        raise ReleaseError(f"{folder} is damaged ({error.strerror}). Request the release again.") from error


def _issued_files(folder: Path, content: str) -> dict[str, bytes]:
    files = _read(folder)
    if content_digest(files) != content:
        raise ReleaseError(f"{folder} does not hold the bytes that were issued. Restore it from a backup.")
    return files


def _copy(files: Mapping[str, bytes], destination: Path) -> None:
    if destination.exists():
        raise UsageError(f"{destination} is there already. Name a folder that is not.")
    building = destination.with_name(f".{destination.name}.partial")
    try:
        building.mkdir(exist_ok=True)
        for name, data in files.items():
            write_durable(building / name, data)
        building.rename(destination)
    except FileNotFoundError as error:
        raise UsageError(f"{destination.parent} is not a folder. Make it first.") from error
