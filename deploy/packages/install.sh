#!/bin/sh
# Installs ZTNA from this tarball, on any Linux of this machine's kind with GnuTLS; removes it again.
set -eu

usage() {
  cat <<'TEXT'
usage: ./install.sh [--prefix DIR] [--check | --uninstall [--purge]]
  --prefix DIR   where bin, share and the rest go (/usr/local)
  --check        say what is missing, and install nothing
  --uninstall    remove what was installed; /etc/ztna and /var/lib/ztna stay
  --purge        with --uninstall: remove those, and the users of the services, too
Services go to /etc/systemd/system where there is systemd; they are neither enabled nor started.
TEXT
}

roles="intermediate connector agent"
units="ztna-intermediate.service ztna-connector.service ztna-agent.service"

fail() {  # STATUS MESSAGE
  echo "install.sh: $2" >&2
  exit "$1"
}

have() { command -v "$1" >/dev/null 2>&1; }
systemd_runs() { [ -d /run/systemd/system ]; }

# Each thing that is missing on one line, with what brings it.
missing() {
  if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" != "$(cat MACHINE)" ]; then
    echo "a Linux machine of kind $(cat MACHINE); this is $(uname -s) on $(uname -m)"
    return
  fi
  for program in files/usr/bin/*; do
    # "libgnutls.so.30 => not found", "version `GLIBC_2.34' not found (required by …)", and musl's
    # "Error loading shared library libgnutls.so.30: No such file".
    ldd "$program" 2>&1 | sed -n -e 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' \
      -e "s/.*version \`\([^']*\)' not found.*/\1/p" -e 's/^Error loading shared library \([^:]*\):.*/\1/p'
  done | sort -u | while read -r what; do
    case $what in
      libgnutls*) echo "$what: libgnutls30 or libgnutls30t64 (Debian, Ubuntu), gnutls (Fedora, Arch)" ;;
      libstdc++*) echo "$what: libstdc++6 (Debian, Ubuntu), libstdc++ (Fedora), gcc-libs (Arch)" ;;
      GLIBCXX* | CXXABI*) echo "$what: libstdc++ of GCC 12 or newer (Debian 12, Ubuntu 22.04, Fedora 36)" ;;
      GLIBC*) echo "$what: glibc 2.34 or newer (Debian 12, Ubuntu 22.04, Fedora 35)" ;;
      *) echo "$what" ;;
    esac
  done
  have useradd || echo "useradd: passwd (Debian, Ubuntu), shadow-utils (Fedora), shadow (Arch)"
}

install_users() {
  for role in $roles; do
    if ! getent passwd "ztna-$role" >/dev/null; then
      useradd --system --user-group --no-create-home --home-dir / --shell /usr/sbin/nologin "ztna-$role"
    fi
    [ -e "/etc/ztna/$role" ] || install -d -o root -g "ztna-$role" -m 0750 "/etc/ztna/$role"
    # What a person wrote stays.
    [ -e "/etc/ztna/$role.env" ] || install -m 0644 "files/etc/ztna/$role.env" "/etc/ztna/$role.env"
  done
}

install_units() {
  have systemctl || { echo "There is no systemd: no services. Start the programs your own way."; return; }
  install -d /etc/systemd/system
  for unit in $units; do
    sed "s|^ExecStart=/usr/bin/|ExecStart=$prefix/bin/|" "files/usr/lib/systemd/system/$unit" \
      >"/etc/systemd/system/$unit"
    echo "/etc/systemd/system/$unit" >>"$manifest"
  done
  if systemd_runs; then
    systemctl daemon-reload
    # shellcheck disable=SC2086  # several words
    systemctl try-restart $units
  fi
}

# A folder and those above it. Names those that were not there, with a slash at their end.
make_folder() {
  if [ ! -d "$1" ]; then
    make_folder "$(dirname "$1")"
    mkdir -m 0755 "$1"
    echo "$1/"
  fi
}

install_all() {
  lacking=$(missing)
  [ -z "$lacking" ] || fail 1 "this is missing:
$lacking"
  if [ -e "$manifest" ]; then uninstall_files; fi
  folders=$(make_folder "$prefix/share/ztna")
  [ -z "$folders" ] || echo "$folders" >>"$manifest"
  install -d /etc/ztna
  chmod 755 /etc/ztna
  echo "$prefix" >"$place"
  echo "$place" >>"$manifest"
  (cd files/usr && find . -type f ! -path './lib/systemd/*' | sort) | while read -r file; do
    file=${file#./}
    mode=0644
    case $file in bin/*) mode=0755 ;; esac
    make_folder "$(dirname "$prefix/$file")" >>"$manifest"
    install -m "$mode" "files/usr/$file" "$prefix/$file"
    echo "$prefix/$file" >>"$manifest"
  done
  install_users
  install_units
  echo "ZTNA $(cat VERSION) is in $prefix. Next: /etc/ztna/ROLE.env and /etc/ztna/ROLE/, then"
  echo "systemctl enable --now ztna-ROLE (intermediate, connector or agent). See install.md."
}

uninstall_files() {
  sed '/\/$/d' "$manifest" | while read -r file; do rm -f "$file"; done
  # Folders that we made and nobody else uses, the innermost first.
  folders=$(sed '/\/$/!d' "$manifest" | sort -r)
  rm -f "$manifest"
  printf '%s\n' "$folders" | while read -r folder; do rmdir "$folder" 2>/dev/null || true; done
}

# Users, units and /etc/ztna are for one installation: another prefix is a mistake.
check_place() {
  if [ -e "$place" ] && [ "$(cat "$place")" != "$prefix" ]; then
    fail 1 "ZTNA is installed in $(cat "$place"): say --prefix $(cat "$place"), or --uninstall it there first"
  fi
}

uninstall_all() {
  # A purge may follow an --uninstall, but packages have their own.
  for unit in $units; do
    [ "$purge" = no ] || [ ! -e "/usr/lib/systemd/system/$unit" ] ||
      fail 1 "$unit is of a package, and so is /etc/ztna: remove that by the package manager, or leave out --purge"
  done
  [ -e "$manifest" ] || [ "$purge" = yes ] ||
    fail 1 "nothing is installed in $prefix (there is no $manifest)"
  # shellcheck disable=SC2086  # several words
  if systemd_runs; then systemctl disable --now $units || true; fi
  [ ! -e "$manifest" ] || uninstall_files
  if systemd_runs; then systemctl daemon-reload; fi
  if [ "$purge" = no ]; then
    echo "ZTNA is removed. /etc/ztna and /var/lib/ztna stay; --uninstall --purge removes them."
    return
  fi
  rm -rf /etc/ztna /var/lib/ztna /run/ztna
  for role in $roles; do
    if getent passwd "ztna-$role" >/dev/null; then userdel "ztna-$role"; fi
    if getent group "ztna-$role" >/dev/null; then groupdel "ztna-$role"; fi
  done
  echo "ZTNA is removed, with its configuration."
}

prefix=/usr/local
action=install
purge=no
while [ $# -gt 0 ]; do
  case $1 in
    --prefix)
      [ $# -gt 1 ] || fail 2 "--prefix needs a folder"
      prefix=${2%/}
      shift
      ;;
    --check | --uninstall) action=${1#--} ;;
    --purge) purge=yes ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && fail 2 "unknown option \"$1\"" ;;
  esac
  shift
done
case $prefix in
  /?*) ;;
  *) fail 2 "--prefix needs an absolute path, and not \"$prefix\"" ;;
esac
[ "$purge" = no ] || [ "$action" = uninstall ] || fail 2 "--purge goes with --uninstall"
cd "$(dirname "$0")"
manifest=$prefix/share/ztna/installed-files
# Says where it is installed.
place=/etc/ztna/prefix

if [ "$action" = check ]; then
  lacking=$(missing)
  [ -z "$lacking" ] || { echo "$lacking" && exit 1; }
  echo "Nothing is missing."
  exit 0
fi
[ "$(id -u)" = 0 ] || fail 2 "needs root: sudo ./install.sh"
check_place
if [ "$action" = install ]; then install_all; else uninstall_all; fi
