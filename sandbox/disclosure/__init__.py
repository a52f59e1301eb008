"""What may leave the institution: rules, the audit of everything released so far, and traces of sentinel cases."""
