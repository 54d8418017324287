#!/bin/sh
# Boots the machine's systemd as the first process of namespaces of its own: with the units of deploy/systemd and
# nothing else, on folders that vanish with it. What the test's host must not see changed - /run, /tmp, /etc, /var/lib,
# programs - lies below mounts of its own.
# Environment: FOLDER (of the test, visible at its own path), DATA (the agent's), SOCKET (the engine's), NODE, AGENT
# (files), UNITS (folder of unit files), ENVIRONMENT (file of settings).
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
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/longshore
cp "$AGENT" /opt/longshore/agent.mjs

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

for folder in /tmp /var/tmp /var/lib; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
chmod 1777 /tmp /var/tmp
mkdir -p "$FOLDER" /var/lib/longshore-agent
mount --move /mnt/folder "$FOLDER"
mount --move /mnt/data /var/lib/longshore-agent
mount -t tmpfs -o mode=755 tmpfs /run
touch /run/docker.sock
mount --bind /mnt/docker.sock /run/docker.sock

export container=other
exec /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=0
