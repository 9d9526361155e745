"""Runs a program as on a kernel without seccomp and Landlock, such as gVisor's, and without close_range(2): what asks for them
fails with ENOSYS.

    python3 bare_kernel.py PROGRAM [ARGUMENT...]

A filter of the kernel that has them says so in its place.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

# seccomp(2) and prctl(2); the later ones are the same on every architecture.
SECCOMP, PRCTL = {"x86_64": (317, 157), "aarch64": (277, 167)}[platform.machine()]
CLOSE_RANGE, LANDLOCK = 436, (444, 445, 446)
PR_GET_SECCOMP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 21, 22, 38
MODE_FILTER = 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # of the packet filter
NUMBER, FIRST_ARGUMENT = 0, 16  # where struct seccomp_data has them
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def program() -> bytes:
    """The calls of the list fail with ENOSYS, two of prctl's with EINVAL, as where seccomp is not built in."""
    lines = [instruction(LOAD, NUMBER)]
    for number in (SECCOMP, CLOSE_RANGE, *LANDLOCK):
        lines += [instruction(JUMP_IF_EQUAL, number, 0, 1), instruction(RETURN, FAIL | errno.ENOSYS)]
    lines += [instruction(JUMP_IF_EQUAL, PRCTL, 0, 5), instruction(LOAD, FIRST_ARGUMENT)]
    lines += [instruction(JUMP_IF_EQUAL, PR_GET_SECCOMP, 1), instruction(JUMP_IF_EQUAL, PR_SET_SECCOMP, 0, 1)]
    lines += [instruction(RETURN, FAIL | errno.EINVAL), instruction(RETURN, ALLOW)]
    return b"".join([*lines, instruction(RETURN, ALLOW)])


def main() -> None:
    code = program()
    memory = ctypes.create_string_buffer(code, len(code))
    load = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(memory)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, MODE_FILTER, ctypes.addressof(load), 0, 0)):
        if libc.prctl(*map(ctypes.c_ulong, arguments)) != 0:
            sys.exit(f"prctl{arguments}: {os.strerror(ctypes.get_errno())}")
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
