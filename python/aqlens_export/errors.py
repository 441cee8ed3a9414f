"""The one error that users of the exporter see."""


class ExportError(Exception):
    """Something the user can put right: says what was wrong, where, and what to do."""
