# SPDX-License-Identifier: GPL-2.0-or-later
"""What the XML of a pool of the type rbd says, as libvirt's formatstorage.html has it."""

import socket

import pytest

from xen2kvmd import xml
from xen2kvmd.errors import Unsupported
from xen2kvmd.model import CephPool, Monitor
from xen2kvmd.system import ceph

POOL = """
<pool type="rbd">
  <name>myrbdpool</name>
  <source>
    <name>rbdpool</name>
    <host name='1.2.3.4'/>
    <host name='my.ceph.monitor'/>
    <host name='third.ceph.monitor' port='6790'/>
    <auth username='admin' type='ceph'>
      <secret uuid='2ec115d7-3a88-3ceb-bc12-0ac909a6fd87'/>
    </auth>
  </source>
</pool>
"""


def test_monitors_user_and_secret_are_read() -> None:
    assert ceph.pool(xml.parse(POOL)) == CephPool(
        name="rbdpool",
        monitors=(
            Monitor("1.2.3.4", "6789"),
            Monitor("my.ceph.monitor", "6789"),
            Monitor("third.ceph.monitor", "6790"),
        ),
        user="admin",
        secret_uuid="2ec115d7-3a88-3ceb-bc12-0ac909a6fd87",
    )


def test_pool_that_ceph_conf_tells_of_needs_no_monitors() -> None:
    plain = "<pool type='rbd'><source><name>rbd</name></source></pool>"
    assert ceph.pool(xml.parse(plain)) == CephPool(name="rbd")


def test_other_pools_are_none() -> None:
    assert ceph.pool(xml.parse("<pool type='dir'><source/></pool>")) is None


def test_monitors_have_to_answer_the_host_that_writes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        monitors = (Monitor("monitor.invalid"), Monitor(host, str(port)))
        ceph.check_reachable(CephPool("vms", monitors))
    with pytest.raises(Unsupported, match="No monitor of the Ceph pool 'vms' answers this host"):
        ceph.check_reachable(CephPool("vms", monitors))
    with pytest.raises(Unsupported, match="No monitor"):
        ceph.check_reachable(CephPool("vms"))
