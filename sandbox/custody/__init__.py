"""Hold-outs of an institution: from a draft to a locked version, what may be told of it, and its renewal."""
