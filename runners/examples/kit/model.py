"""The model. Replace ``load`` and ``predict``; the rest of the container can stay as it is."""

# The numbers of an answer, named and ranged as in the institution's protocol.
ANSWER = {"score": 0.5}


def load():
    """Load whatever takes long: weights, libraries. Called once."""
    return ANSWER


def predict(model, paths):
    """Return the answer to the case with these DICOM files: every number of ``ANSWER``, by name.

    State kept from one case to the next would make answers depend on the order of cases, which
    ``proctor kit check`` reports.
    """
    if not paths:
        raise ValueError("a case without files")
    return dict(model)
