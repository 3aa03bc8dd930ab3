# SPDX-License-Identifier: GPL-2.0-or-later
"""The domain XML of a fully virtualised guest under Xen, with one IDE disk."""

DOCUMENT = """
<domain type='xen'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='xenfv'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><apic/><pae/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{disk}'/>
      <target dev='hda' bus='ide'/>
    </disk>
{more}  </devices>
</domain>
"""


def document(name: str, disk: object, *, memory: int, more: str = "") -> str:
    """Return the document; memory is in MiB, more is what else there is in <devices>."""
    return DOCUMENT.format(name=name, disk=disk, memory=memory, more=more)
