"""The processes of one machine: their command lines, start, restart and end.

`supervisor` starts and restarts them, `guard` ends them if the supervisor dies, `commands` says
how each is started, `startup` prepares the database and the demo.
"""

__all__ = ["commands", "startup", "supervisor"]
