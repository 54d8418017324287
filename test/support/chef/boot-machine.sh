#!/bin/sh
# A bare machine for the stand-in of Chef: namespaces of its own, on folders that vanish with it. What the test's host
# must not see changed - /etc, /opt, programs, /var/lib, /run - lies below mounts of its own. Says `ready` and waits.
# Environment: NODE (file), SOCKET (the engine's; empty: none).
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
touch /mnt/docker.sock
[ -z "$SOCKET" ] || mount --bind "$SOCKET" /mnt/docker.sock
for folder in etc opt usr/bin var/lib; do
  mkdir -p "/mnt/upper/$folder" "/mnt/work/$folder"
  mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/upper/$folder,workdir=/mnt/work/$folder" overlay "/$folder"
done
touch /usr/bin/node
mount --bind "$NODE" /usr/bin/node
mount -t tmpfs -o mode=755 tmpfs /run
touch /run/docker.sock
mount --bind /mnt/docker.sock /run/docker.sock
echo ready
exec sleep infinity
