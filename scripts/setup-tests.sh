#!/usr/bin/env bash
# Brings the machine what the tests on real parts use. Installs only as root on Debian or Ubuntu, and only what is
# missing; elsewhere those tests say what they lack. Nothing is started or enabled.
set -eu
packages=(docker.io iptables docker-registry busybox-static iproute2 curl ca-certificates git procps openssl haproxy
  systemd skopeo ruby rubocop chromium)
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
# Of Prometheus two programs are enough: its package brings a page, and a service that the next boot would start.
unpacked=(prometheus promtool)
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }
lacking=()
for name in "${unpacked[@]}"; do has "$name" || lacking+=("$name"); done
[ "${#missing[@]}" -gt 0 ] || [ "${#lacking[@]}" -gt 0 ] || exit 0
# A machine may have some parts from elsewhere than Debian: a program that is there counts.
declare -A program=([docker.io]=dockerd [iptables]=iptables [docker-registry]=docker-registry [busybox-static]=/bin/busybox
  [iproute2]=ip [curl]=curl [ca-certificates]=update-ca-certificates [git]=git [procps]=ps [openssl]=openssl
  [haproxy]=haproxy [systemd]=systemctl [skopeo]=skopeo [ruby]=ruby [rubocop]=rubocop
  [chromium]=chromium)
wanted=()
for package in "${missing[@]}"; do
  has "${program[$package]}" || wanted+=("$package")
done
[ "${#wanted[@]}" -gt 0 ] || [ "${#lacking[@]}" -gt 0 ] || exit 0
apt-get update -qq >&2
if [ "${#lacking[@]}" -gt 0 ]; then
  echo "unpacking ${lacking[*]} to /usr/local/bin" >&2
  folder=$(mktemp -d)
  (cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg-deb -x prometheus_*.deb .) >&2
  for name in "${lacking[@]}"; do install "$folder/usr/bin/$name" "/usr/local/bin/$name"; done
  rm -r "$folder"
fi
[ "${#wanted[@]}" -gt 0 ] || exit 0
echo "installing ${wanted[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# The engine's package starts a service at once; the tests start private engines and want no other.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get install -y -qq --no-install-recommends "${wanted[@]}" >&2
