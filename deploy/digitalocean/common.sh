# shellcheck shell=bash
# What up.sh, down.sh and status.sh share. Sourced by them.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../env/load.sh
. "$here/../env/load.sh"

env_file=$here/../env/cloud.env
known_hosts=${XDG_STATE_HOME:-$HOME/.local/state}/ztna/known_hosts
dry_run=no
doctl=${DOCTL:-doctl}

fail() {  # MESSAGE
  echo "${0##*/}: $1" >&2
  exit 1
}

say() { echo "==> $*"; }

# run COMMAND…: what changes something. With --dry-run it is printed, for a shell to read.
run() {
  if [[ $dry_run == yes ]]; then
    printf '   '
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

# look COMMAND…: doctl, to find out what is there. A dry run without doctl finds nothing.
look() {
  if [[ $dry_run == yes ]] && ! command -v "$doctl" >/dev/null; then return; fi
  "$doctl" compute "$@" --no-header
}

need_doctl() {
  if ! command -v "$doctl" >/dev/null; then
    if [[ $dry_run == yes ]]; then
      say "There is no $doctl here: printed as for an empty account"
      return
    fi
    fail "doctl is not installed: https://docs.digitalocean.com/reference/doctl/how-to/install"
  fi
  "$doctl" account get --format Status --no-header >/dev/null ||
    fail "doctl cannot reach your account: run \"doctl auth init\" with a token that may read and write"
}

# only WHAT ID…: the one id, or nothing; more than one is for a person to sort out.
only() {
  local what=$1
  shift
  (($# <= 1)) || fail "there are $# $what: $*. Delete those that are not meant, or change the name in $env_file"
  echo "${1:-}"
}

droplet_id() {
  local ids
  ids=$(look droplet list --tag-name "$DROPLET_TAG" --format ID,Name) || fail "doctl cannot list the droplets"
  # shellcheck disable=SC2046  # one word each
  only "droplets named $DROPLET_NAME" $(awk -v name="$DROPLET_NAME" '$2 == name { print $1 }' <<<"$ids")
}

# Ours is the firewall of this name that guards what carries our tag, and nothing else: up.sh replaces all of
# it, and down.sh deletes it.
firewall_id() {
  local ids id tags droplets
  ids=$(look firewall list --format ID,Name) || fail "doctl cannot list the firewalls"
  # shellcheck disable=SC2046  # one word each
  id=$(only "firewalls named $FIREWALL_NAME" $(awk -v name="$FIREWALL_NAME" '$2 == name { print $1 }' <<<"$ids")) || exit
  if [[ -z $id ]]; then return; fi
  tags=$(look firewall get "$id" --format Tags) || fail "doctl cannot read the firewall $id"
  droplets=$(look firewall get "$id" --format DropletIDs) || fail "doctl cannot read the firewall $id"
  tags=${tags//[[:space:]]/} droplets=${droplets//[[:space:]]/}
  if [[ $tags != "$DROPLET_TAG" || -n $droplets ]]; then
    fail "the firewall $FIREWALL_NAME ($id) is not only for the tag $DROPLET_TAG, but for tags \"$tags\" and droplets \"$droplets\", so it is left alone: change FIREWALL_NAME in $env_file"
  fi
  echo "$id"
}

tag_exists() {
  local names
  names=$(look tag list --format Name) || fail "doctl cannot list the tags"
  grep -qxF -- "$DROPLET_TAG" <<<"$names"
}

droplet_address() { look droplet get "$1" --format PublicIPv4; }  # ID

# on_droplet ADDRESS COMMAND…: by ssh. The host's key is taken at the first connection and must stay.
on_droplet() {
  local address=$1
  shift
  ssh -o BatchMode=yes -o ConnectTimeout=10 -o StrictHostKeyChecking=accept-new \
    -o UserKnownHostsFile="$known_hosts" "root@$address" "$(printf '%q ' "$@")"
}
