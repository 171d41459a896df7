#!/usr/bin/env bash
# Deletes what up.sh made: the droplet, the firewall and the tag, each if it is there. Other droplets with the
# tag keep it, and the firewall that guards them by it. The CA and the certificates of Agents stay here.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

usage() {
  cat <<'TEXT'
usage: deploy/digitalocean/down.sh [--env FILE] [--yes] [--dry-run]
  --env FILE   what up.sh was given (default: deploy/env/cloud.env)
  --yes        ask nothing
  --dry-run    print the commands, and run none of them
TEXT
}

yes=no
while (($# > 0)); do
  case $1 in
    --env) (($# >= 2)) || { usage >&2 && exit 2; }; env_file=$2 && shift ;;
    --yes) yes=yes ;;
    --dry-run) dry_run=yes ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && echo "${0##*/}: \"$1\" is not known" >&2 && exit 2 ;;
  esac
  shift
done

env_forget
load_env "$env_file" DROPLET_NAME DROPLET_TAG FIREWALL_NAME || exit
need_doctl
droplet=$(droplet_id)
firewall=$(firewall_id)
tag=''
if tag_exists; then tag=$DROPLET_TAG; fi
others=$(look droplet list --tag-name "$DROPLET_TAG" --format ID) || fail "doctl cannot list the droplets"
others=$(awk -v ours="$droplet" '$1 != ours { printf " %s", $1 }' <<<"$others")
if [[ -n ${others// /} ]]; then
  say "Other droplets have the tag $DROPLET_TAG:$others. It stays, and so does the firewall $FIREWALL_NAME"
  firewall='' tag=''
fi

if [[ -z $droplet$firewall$tag ]]; then
  say "Nothing of $DROPLET_NAME is there to delete"
  exit 0
fi
say "To delete:${droplet:+ droplet $DROPLET_NAME ($droplet)}${firewall:+ firewall $FIREWALL_NAME ($firewall)}${tag:+ tag $tag}"
if [[ $yes == no && $dry_run == no ]]; then
  [[ -t 0 ]] || fail "nobody is there to ask: say --yes"
  read -r -p "Delete it for good? [y/N] " answer
  [[ $answer =~ ^[Yy] ]] || fail "nothing was deleted"
fi

# The droplet first: while it lives, the firewall stays before it.
if [[ -n $droplet ]]; then
  address=$(droplet_address "$droplet" | tr -d '[:space:]')
  run "$doctl" compute droplet delete "$droplet" --force
  # DigitalOcean gives the address to somebody else, with another key.
  if [[ -n $address && -e $known_hosts ]]; then run ssh-keygen -q -R "$address" -f "$known_hosts" 2>/dev/null; fi
fi
if [[ -n $firewall ]]; then run "$doctl" compute firewall delete "$firewall" --force; fi
if [[ -n $tag ]]; then run "$doctl" compute tag delete "$tag" --force; fi
