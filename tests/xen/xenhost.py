# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Xen host: dom0 and its guests in a QEMU of the sandbox, reached over ssh as `xenhost`.

Xen runs its PV guests without help of the processor, so they are real ones under emulation, too.
The guests' disks are drives of that QEMU, which forgets what is written to them; dom0 makes of them
what administrators have: image files, qcow2, logical volumes.
"""

import time
from pathlib import Path

from tests.migration.sandbox import Ended, Sandbox

URI = "xen+ssh://root@xenhost/system"
SECONDS = 900  # until libvirt answers in dom0
FOLDER = "/run/xenhost"

CONFIG = """
mkdir -p {folder}
cp {host}/key {folder}/key
chmod 600 {folder}/key
cat >{folder}/ssh_config <<END
Host xenhost
  HostName 127.0.0.1
  Port 2222
  HostKeyAlias xenhost
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {host}/known
END
mount --bind {folder}/ssh_config /etc/ssh/ssh_config
qemu-img create -q -f qcow2 {folder}/lvm.qcow2 6G
"""

# An AMD processor without XSAVE: programs in dom0 crashed at random with EPYC and QEMU 7.2. Xen
# uses MWAIT with a hint that QEMU does not know, hence no monitor and no cpuidle.
QEMU = """
linux="vmlinuz root=/dev/vda ro console=hvc0 net.ifnames=0 mitigations=off quiet"
exec qemu-system-x86_64 -name xenhost -machine pc -accel tcg,thread=multi \
  -cpu Opteron_G3,-monitor,+npt -smp 2 -m 4096 -nodefaults -display none -vga none \
  -kernel {host}/xen -append "console=com1 com1=115200,8n1 dom0_mem=1536M,max:1536M spec-ctrl=no \
xpti=0 smep=0 smap=0 cpuidle=0 cpufreq=none" \
  -initrd "{host}/$linux,{host}/initrd" \
  {drives} -netdev user,id=n0,dhcpstart=10.0.2.100,hostfwd=tcp:127.0.0.1:2222-10.0.2.15:22 \
  -device virtio-net-pci,netdev=n0 -object rng-random,filename=/dev/urandom,id=r0 \
  -device virtio-rng-pci,rng=r0 -serial file:{folder}/console.log -daemonize -pidfile {folder}/pid
"""


class XenHost:
    """The host; its drives are /dev/vdb, for logical volumes, and /dev/vdc onwards as given."""

    def __init__(self, sandbox: Sandbox, host: Path, drives: list[Path]) -> None:
        self._sandbox = sandbox
        shown = [f"-drive file={host}/host.img,format=raw,if=virtio,snapshot=on"]
        shown.append(f"-drive file={FOLDER}/lvm.qcow2,format=qcow2,if=virtio")
        shown += [f"-drive file={one},format=raw,if=virtio,snapshot=on" for one in drives]
        self._here(CONFIG.format(folder=FOLDER, host=host))
        self._here(QEMU.format(folder=FOLDER, host=host, drives=" ".join(shown)))
        end = time.monotonic() + SECONDS
        while self.try_shell("virsh -c xen:///system list").code:
            assert time.monotonic() < end, self._here(f"tail -30 {FOLDER}/console.log").out
            time.sleep(3)

    def try_shell(self, script: str) -> Ended:
        """Run a script in dom0."""
        return self._sandbox.run("ssh", "-o", "BatchMode=yes", "xenhost", "bash -e", stdin=script)

    def shell(self, script: str) -> str:
        """Run a script in dom0, which succeeds; return what it prints."""
        ended = self.try_shell(script)
        assert ended.code == 0, ended.err + ended.out
        return ended.out

    def define(self, document: str) -> None:
        """Let the host's libvirt know a guest."""
        self.shell(f"virsh -c xen:///system define /dev/stdin <<'END'\n{document}\nEND")

    def state(self, name: str) -> str:
        return self.shell(f"virsh -c xen:///system domstate {name}").strip()

    def _here(self, script: str) -> Ended:
        ended = self._sandbox.run("bash", "-ec", script)
        assert ended.code == 0, ended.err + ended.out
        return ended
