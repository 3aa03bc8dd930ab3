# SPDX-License-Identifier: GPL-2.0-or-later
"""A Xen host: the sandbox's libvirtd plays it by its test driver.

It takes Xen's documents and knows of each guest whether it runs. It forgets them when nobody is
connected: a virsh stays.
"""

from tests.migration.sandbox import Sandbox

URI = "test+unix:///default"

HOST_UP = f"""
mkdir /run/xenhost
mkfifo /run/xenhost/orders
virsh -c {URI} <>/run/xenhost/orders >/dev/null 2>&1 &
echo $! >/run/xenhost/pid
printf 'define %s\\nstart tiny1\\n' "$1" >/run/xenhost/orders
for _ in $(seq 300); do
  virsh -c {URI} domstate tiny1 2>/dev/null | grep -q running && exit
  sleep 0.1
done
exit 1
"""
HOST_DOWN = "kill $(cat /run/xenhost/pid); rm -r /run/xenhost"


def shell(sandbox: Sandbox, script: str, *arguments: str) -> None:
    ended = sandbox.run("bash", "-c", script, "bash", *arguments)
    assert ended.code == 0, ended.err


def state(sandbox: Sandbox) -> str:
    return sandbox.run("virsh", "-c", URI, "domstate", "tiny1").out.strip()
