# SPDX-License-Identifier: GPL-2.0-or-later
"""Be a person at a terminal: `typed.py USER PROMPT ANSWER PROGRAM...`.

Run a program as a user on a terminal of its own, type the answer once the prompt is there (an
escape of Python's, as that of Ctrl-C, is resolved), print what the terminal showed, and end as the
program does.
"""

import encodings.idna  # noqa: F401 - another user may not be able to read it later
import os
import pty
import pwd
import sys
import termios
import time

user, prompt, answer, *program = sys.argv[1:]
entry = pwd.getpwnam(user)
pid, terminal = pty.fork()
if pid == 0:
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.chdir("/")
    os.execvp(program[0], program)
seen = b""
asked = False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:  # its other end is closed
        break
    seen += part
    if not asked and prompt.encode() in seen:
        asked = True
        # A person is slower: what is typed before the echo is off is thrown away (TCSAFLUSH).
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(terminal, answer.encode().decode("unicode_escape").encode())
sys.stdout.write(seen.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
