"""Becomes a server that dies with its parent. Run by path: `launcher.py PARENT SIGNAL UID GID COMMAND ...`."""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: "list[str]") -> None:
    """Drop to UID and GID (-1 keeps ours), ask for SIGNAL at the parent's death, become COMMAND."""
    parent, number, uid, gid = (int(word) for word in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    # After the change of user: the kernel clears the request when credentials change (prctl(2)).
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # the parent ended before we asked
    try:
        os.execvpe(command[0], command, dict(os.environ))
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
