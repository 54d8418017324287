#!/bin/sh
# Boots the machine's systemd as the first process of namespaces of its own: with the units of deploy/systemd and
# nothing else, on folders that vanish with it. What the test's host must not see changed - /run, /tmp, /etc, /var/lib,
# programs - lies below mounts of its own.
# Environment: FOLDER (of the test, visible at its own path), DATA (the agent's), SOCKET (the engine's), NODE
# (file), PROGRAMS (folder of the bundles), UNITS (folder of unit files), ENVIRONMENT (file of settings), TOKEN (file),
# CERT and KEY (PEM).
set -eu
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup

mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/folder /mnt/data
mount --bind "$FOLDER" /mnt/folder
mount --bind "$DATA" /mnt/data
touch /mnt/docker.sock
mount --bind "$SOCKET" /mnt/docker.sock
for folder in etc usr/bin usr/sbin; do
  mkdir -p "/mnt/upper/$folder" "/mnt/work/$folder"
  mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/upper/$folder,workdir=/mnt/work/$folder" overlay "/$folder"
done

touch /usr/bin/node
mount --bind "$NODE" /usr/bin/node
mkdir -p /etc/longshore
cp "$ENVIRONMENT" /etc/longshore/agent.env
install -m 600 "$TOKEN" /etc/longshore/join.token
install -m 600 "$CERT" /etc/longshore/tls.crt
install -m 600 "$KEY" /etc/longshore/tls.key
echo 'longshore:x:7300:7300::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'longshore:x:7300:' >>/etc/group
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/longshore
cp -r "$PROGRAMS"/. /opt/longshore

mount -t tmpfs -o mode=755 tmpfs /usr/lib/systemd/system-generators
mount -t tmpfs -o mode=755 tmpfs /etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs /usr/lib/systemd/system
cp "$UNITS"/* /usr/lib/systemd/system/
for target in sysinit basic paths shutdown network-online; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/etc/systemd/system/$target.target"
done
printf '[Unit]\nDefaultDependencies=no\nWants=longshore-agent.service\n' >/etc/systemd/system/test.target
mkdir /etc/systemd/system/longshore-agent.service.d
# Certificates of the test lie there; the agent has a /tmp of its own.
printf '[Service]\nBindReadOnlyPaths=%s\n' "$FOLDER" >/etc/systemd/system/longshore-agent.service.d/test.conf
mkdir /etc/systemd/system/longshore-controller.service.d
# Installed by itself, given up sooner than a host would be, and nobody waits for the other half of a certificate.
printf '[Service]\nExecStartPre=-/usr/bin/node /opt/longshore/controller.mjs controller init --data /var/lib/longshore
WatchdogSec=10\nRestartSec=1\n' >/etc/systemd/system/longshore-controller.service.d/test.conf
mkdir /etc/systemd/system/longshore-controller-tls.service.d
printf '[Service]\nExecStartPre=\n' >/etc/systemd/system/longshore-controller-tls.service.d/test.conf

for folder in /tmp /var/tmp /var/lib; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 /tmp /var/tmp
mkdir -p "$FOLDER" /var/lib/longshore-agent
mount --move /mnt/folder "$FOLDER"
mount --move /mnt/data /var/lib/longshore-agent
mount -t tmpfs -o mode=755 tmpfs /run
touch /run/docker.sock
mount --bind /mnt/docker.sock /run/docker.sock

# As systemd does itself on a host: credentials are mounted by a process that has mounts of its own.
mount --make-rshared /

export container=other
exec /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
