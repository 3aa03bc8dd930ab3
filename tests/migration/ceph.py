# SPDX-License-Identifier: GPL-2.0-or-later
"""A Ceph cluster of one monitor, one manager and one OSD in memory, and libvirt's pool of it.

All of it is what a host of a real cluster runs; it ends with the sandbox, or by CEPH_DOWN. The
user `libvirt` may use the pool `vms` only, and has a key, which is libvirt's secret.
"""

SECRET = "6b6f2f0a-8a53-4a6e-9f5e-3b1f0f7f5a11"

CEPH_UP = f"""
export CEPH_CONF=/run/ceph-test/ceph.conf
mkdir -p /run/ceph-test/mon /run/ceph-test/osd /run/ceph-test/mgr
cd /run/ceph-test
cat >ceph.conf <<END
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_host = [v1:127.0.0.1:6789]
mon_initial_members = a
auth_client_required = cephx
auth_cluster_required = cephx
auth_service_required = cephx
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_objectstore = memstore
memstore_device_bytes = 4294967296
mgr_initial_modules =
mon_data = $PWD/mon
osd_data = $PWD/osd
mgr_data = $PWD/mgr
keyring = $PWD/keyring
run_dir = $PWD
admin_socket = $PWD/\\$name.asok
log_file = $PWD/log
END
new() {{ ceph-authtool keyring --gen-key -n "$@" >/dev/null; }}
ceph-authtool --create-keyring keyring >/dev/null
new mon. --cap mon 'allow *'
new client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
new osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd'
new mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
new client.libvirt --cap mon 'profile rbd' --cap osd 'profile rbd pool=vms' --cap mgr 'profile rbd'
ceph-mon --mkfs -i a --keyring keyring
ceph-mon -i a
osd=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$osd" 0
ceph-osd -i 0 --mkfs --osd-uuid "$osd"
ceph-osd -i 0
ceph-mgr -i x
ceph osd pool create vms 8
ceph osd pool application enable vms rbd
for _ in $(seq 300); do ceph pg stat | grep -q '8 active+clean' && break; sleep 0.2; done
cat >secret.xml <<END
<secret ephemeral="yes">
  <uuid>{SECRET}</uuid>
  <usage type="ceph"><name>client.libvirt</name></usage>
</secret>
END
cat >pool.xml <<END
<pool type="rbd">
  <name>ceph</name>
  <source>
    <name>vms</name>
    <host name="127.0.0.1" port="6789"/>
    <auth type="ceph" username="libvirt"><secret uuid="{SECRET}"/></auth>
  </source>
</pool>
END
ceph-authtool -p -n client.libvirt keyring >key
virsh secret-define secret.xml
virsh secret-set-value {SECRET} --file key
virsh pool-define pool.xml
virsh pool-start ceph
"""
CEPH_DOWN = f"""
virsh pool-destroy ceph
virsh pool-undefine ceph
virsh secret-undefine {SECRET}
pkill -x 'ceph-(mon|osd|mgr)'
while pgrep -x 'ceph-(mon|osd|mgr)'; do sleep 0.1; done
rm -r /run/ceph-test
"""
