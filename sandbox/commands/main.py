"""The command ``proctor``: the tree of commands, and one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sandbox.commands import console
from sandbox.commands.actors import actor_app
from sandbox.commands.comparison import compare, compare_readers
from sandbox.commands.demo import demo
from sandbox.commands.doctor import doctor
from sandbox.commands.evaluations import dossier, evaluate, evaluation_app, report, verify
from sandbox.commands.holdouts import holdout_app
from sandbox.commands.kit import kit_app
from sandbox.commands.ledgers import ledger_app
from sandbox.commands.locked_versions import refresh as refresh_holdout
from sandbox.commands.locked_versions import retire as retire_holdout
from sandbox.commands.locked_versions import verify as verify_holdout
from sandbox.commands.policies import policy_app
from sandbox.commands.power import power
from sandbox.commands.protocols import protocol_app
from sandbox.commands.reader_truth import reader_truth
from sandbox.commands.releases import claim_app, release_app
from sandbox.commands.stress import stress_app
from sandbox.commands.submissions import submission_app
from sandbox.commands.waivers import waiver_app
from sandbox.commands.workspaces import init

CRITERION_NOT_MET = 1
REFUSED = 3
BROKEN = 4
CANNOT_TELL = 5
INTERRUPTED = 130
ACTOR = "PROCTOR_ACTOR"

_HELP = """
Proctor is an examination hall for medical-imaging algorithms.

A hospital locks a hold-out of DICOM studies; a vendor hands in a container image; Proctor runs it where it can reach
no network, see no truth and carry nothing out, scores its answers, and keeps evidence that a regulator checks offline.

\b
  proctor init                                        make a workspace (PROCTOR_HOME)
  proctor doctor                                      would a run be allowed here?
  proctor holdout ingest FOLDER --name cxr --reference REFERENCE.yaml
  proctor holdout lock cxr
  proctor submission admit IMAGE.tar --vendor acme
  proctor kit check IMAGE.tar                         for vendors: the same checks, on synthetic cases
  proctor protocol register PROTOCOL.yaml
  proctor evaluate --holdout cxr --submission acme --protocol PROTOCOL.yaml
  proctor dossier EVALUATION -o FILE.zip
  proctor verify FILE.zip                             needs no workspace and no engine
  proctor actor add ada --role approver               one who reads what would leave
  proctor release request EVALUATION                  what a vendor is told: request, review, approve, issue
  proctor release budget --holdout cxr                what all vendors have learned of a hold-out, in bits

\b
Exit codes: 0 done (and every criterion met), 1 a criterion is not met, 2 wrong usage, 3 refused by a rule,
4 something is broken, 5 the data cannot tell whether a criterion is met, 130 interrupted.

--json, --quiet and --as NAME may stand anywhere on the line. Results go to stdout, messages to stderr.
"""

app = typer.Typer(
    name="proctor",
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
app.add_typer(holdout_app, name="holdout")
app.add_typer(submission_app, name="submission")
app.add_typer(kit_app, name="kit")
app.add_typer(protocol_app, name="protocol")
app.add_typer(evaluation_app, name="evaluation")
app.add_typer(ledger_app, name="ledger")
app.add_typer(waiver_app, name="waiver")
app.add_typer(stress_app, name="stress")
app.add_typer(actor_app, name="actor")
app.add_typer(policy_app, name="policy")
app.add_typer(claim_app, name="claim")
app.add_typer(release_app, name="release")
for _command in (init, doctor, evaluate, compare, report, dossier, verify, demo):
    app.command()(_command)
app.command("compare-readers")(compare_readers)
app.command("reader-truth")(reader_truth)
holdout_app.command("power")(power)
holdout_app.command("verify")(verify_holdout)
holdout_app.command("retire")(retire_holdout)
holdout_app.command("refresh")(refresh_holdout)


@app.callback()
def _options(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No messages and no progress on stderr.")
    ] = False,
    acting: Annotated[
        str | None, typer.Option("--as", help="Act as this actor (PROCTOR_ACTOR); default: operator.")
    ] = None,
) -> None:
    console.settings.as_json = console.settings.as_json or as_json
    console.settings.quiet = console.settings.quiet or quiet


def run() -> None:
    """Entry point: run the command line and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    Raises:
        Exception: only what is a defect of Proctor itself, and only when ``PROCTOR_DEBUG`` is set.
    """
    from holdout.errors import HoldoutError
    from runners.errors import RunnerError
    from sandbox.errors import ProctorError, UsageError

    console.settings.as_json = "--json" in arguments
    console.settings.quiet = "--quiet" in arguments or "-q" in arguments
    words = [word for word in arguments if word not in {"--json", "--quiet", "-q"}]
    earlier = os.environ.get(ACTOR)
    try:
        words = _take_actor(words)
        outcome = app(words, standalone_mode=False)
        # The command library turns Ctrl-C into this code by itself.
        if outcome == INTERRUPTED:
            raise KeyboardInterrupt
        return outcome if isinstance(outcome, int) else 0
    except UsageError as error:
        console.problem(str(error))
        return 2
    except (HoldoutError, RunnerError, ProctorError) as error:
        if os.environ.get("PROCTOR_DEBUG"):
            raise
        console.problem(str(error))
        return REFUSED if error.refused else BROKEN
    except (KeyboardInterrupt, typer.Abort):
        console.problem("Interrupted. What was finished is kept; run the same command again to go on.")
        return INTERRUPTED
    except typer.Exit as exit_request:
        return exit_request.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:
        if os.environ.get("PROCTOR_DEBUG"):
            raise
        where = f" ({error.filename})" if error.filename else _full(error)
        console.problem(
            f"{error.strerror or error}{where}. Nothing was left half done; mend it and run the same command again."
        )
        return BROKEN
    except Exception as error:
        if _is_usage(error):
            console.problem(_usage_text(error))
            return 2
        if os.environ.get("PROCTOR_DEBUG"):
            raise
        console.problem(
            f"This is a defect in Proctor ({type(error).__name__}). Run again with PROCTOR_DEBUG=1 and report what it "
            "prints. What was finished before is intact."
        )
        return BROKEN
    finally:
        _act_as(earlier)


def _full(error: OSError) -> str:
    """Say how much is left where Proctor writes: a write to an open file that found no space names no place."""
    from sandbox.institution.workspace import default_home

    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    places = [place for place in (default_home(), Path(tempfile.gettempdir()), Path.cwd()) if place.is_dir()]
    free = [f"{shutil.disk_usage(place).free >> 20} MiB in {place}" for place in dict.fromkeys(places)]
    return f" (free: {', '.join(free)})"


def _take_actor(words: list[str]) -> list[str]:
    """Take ``--as NAME`` off the line, wherever it stands, and act as NAME."""
    from sandbox.errors import UsageError

    if "--as" not in words:
        return words
    at = words.index("--as")
    if at + 1 == len(words):
        raise UsageError("--as needs the name of an actor. See: proctor actor list")
    os.environ[ACTOR] = words[at + 1]
    return words[:at] + words[at + 2 :]


def _act_as(name: str | None) -> None:
    if name is None:
        os.environ.pop(ACTOR, None)
    else:
        os.environ[ACTOR] = name


def _is_usage(error: Exception) -> bool:
    return type(error).__module__.startswith(("click", "typer"))


def _usage_text(error: Exception) -> str:
    show = getattr(error, "format_message", None)
    context = getattr(error, "ctx", None)
    text = str(show() if callable(show) else error)
    return f"{text} (see: {context.command_path} --help)" if context is not None else text
