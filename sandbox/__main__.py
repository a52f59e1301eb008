"""``python -m sandbox`` is the command ``proctor``."""

from sandbox.commands.main import run

if __name__ == "__main__":
    run()
