"""One piece of work through four languages, in one trace."""


def run(programs, work):
    """Whether it failed."""
    return False
