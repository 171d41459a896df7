#!/usr/bin/env bash
# What of a deployment is there, and whether it works. Changes nothing. Exit status 0: all of it.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

usage() {
  cat <<'TEXT'
usage: deploy/digitalocean/status.sh [--env FILE]
  --env FILE   what up.sh was given (default: deploy/env/cloud.env)
TEXT
}

while (($# > 0)); do
  case $1 in
    --env) (($# >= 2)) || { usage >&2 && exit 2; }; env_file=$2 && shift ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && echo "${0##*/}: \"$1\" is not known" >&2 && exit 2 ;;
  esac
  shift
done

env_forget
load_env "$env_file" DROPLET_NAME DROPLET_TAG FIREWALL_NAME INTERMEDIATE_PORT || exit
need_doctl
whole=yes

firewall=$(firewall_id)
if [[ -n $firewall ]]; then
  echo "firewall $FIREWALL_NAME: $(look firewall get "$firewall" --format Status)"
  look firewall get "$firewall" --format InboundRules | tr ' ' '\n' | sed -e '/^$/d' -e 's/^/  in  /'
else
  echo "firewall $FIREWALL_NAME: missing" && whole=no
fi

droplet=$(droplet_id)
if [[ -z $droplet ]]; then
  echo "droplet $DROPLET_NAME: missing"
  exit 1
fi
state=$(look droplet get "$droplet" --format Status)
address=$(droplet_address "$droplet" | tr -d '[:space:]')
echo "droplet $DROPLET_NAME: $state, ${address:-no address yet}"
asked=0
on_droplet "$address" ztna-droplet status </dev/null || asked=$?
case $asked in
  0) ;;
  255) echo "ssh to root@$address says nothing: is your address among ADMIN_ADDRESSES in $env_file?" && exit 1 ;;
  *) whole=no ;;
esac
if command -v ztna >/dev/null; then
  ztna netcheck --intermediate "${INTERMEDIATE_HOST:-$address}:$INTERMEDIATE_PORT" | head -n 1 || true
fi
[[ $whole == yes ]]
