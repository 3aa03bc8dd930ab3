# SPDX-License-Identifier: GPL-2.0-or-later
"""What the XML of a pool of the type rbd says, as libvirt's formatstorage.html has it."""

from xen2kvmd import xml
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
