#!/usr/bin/env bash
# An Intermediate, a Connector and an HTTP echo on a DigitalOcean droplet. What is there already is found
# by tag and name and left alone, so running it again changes nothing, and finishes what was cut short.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

usage() {
  cat <<'TEXT'
usage: deploy/digitalocean/up.sh [--env FILE] [--open-http] [--open-acme | --close-acme] [--dry-run]
  --env FILE    what to make (default: deploy/env/cloud.env)
  --open-http   let everyone reach the HTTP echo, too, without the tunnel; without it: closed again
  --open-acme   let TCP 80 in, for Let's Encrypt's http-01 (docs/certificates.md), for renewals, too: it
                stays open until --close-acme
  --dry-run     print the commands that would change something, and run none of them
TEXT
}

open_http=no open_acme=as-it-is
while (($# > 0)); do
  case $1 in
    --env) (($# >= 2)) || { usage >&2 && exit 2; }; env_file=$2 && shift ;;
    --open-http) open_http=yes ;;
    --open-acme) open_acme=yes ;;
    --close-acme) open_acme=no ;;
    --dry-run) dry_run=yes ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && echo "${0##*/}: \"$1\" is not known" >&2 && exit 2 ;;
  esac
  shift
done

env_forget
load_env "$env_file" INTERMEDIATE_PORT STUN_ALT_PORT P2P_PORT SERVICE_ID LOCAL_ADDR HTTP_PORT CERT_DIR \
  CA_DIR TRUST_DOMAIN INTERMEDIATE_NAME CONNECTOR_NAME AGENT_NAME INTERMEDIATE_HEALTH CONNECTOR_HEALTH \
  ADMIN_ADDRESSES SSH_KEY_ID DROPLET_NAME DROPLET_TAG FIREWALL_NAME DROPLET_REGION DROPLET_SIZE \
  DROPLET_IMAGE PACKAGE_SOURCE || exit
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check_inputs() {
  local package name
  local -a found
  ((HTTP_PORT != 80)) || fail "HTTP_PORT in $env_file is 80, which is Let's Encrypt's (--open-acme): choose another"
  # As `ztna ca issue` takes them.
  for name in INTERMEDIATE_HOST TRUST_DOMAIN SERVICE_ID; do
    [[ ${!name:-} != *[[:upper:]_]* && ${!name:-} != *. && ($name != SERVICE_ID || ${!name} != *.*) ]] ||
      fail "$name in $env_file is ${!name}: a certificate has a-z, 0-9 and - only, and hosts and domains dots between"
  done
  if [[ $dry_run == yes ]]; then return; fi
  for package in ztna ssh tar; do
    command -v "$package" >/dev/null || fail "$package is not installed here"
  done
  [[ -r $CA_DIR/ca-cert.pem && -r $CA_DIR/ca-key.pem ]] ||
    fail "there is no CA in $CA_DIR: make one with \"ztna ca init --trust-domain $TRUST_DOMAIN --out $CA_DIR\", or change CA_DIR in $env_file"
  case $PACKAGE_SOURCE in
    https://*) ;;
    *://*) fail "PACKAGE_SOURCE in $env_file is $PACKAGE_SOURCE: an address begins with https://" ;;
    *)
      [[ -d $PACKAGE_SOURCE ]] ||
        fail "PACKAGE_SOURCE in $env_file is $PACKAGE_SOURCE, which is no folder here (a ~ is not replaced)"
      for package in ztna-intermediate ztna-connector ztna-agent ztna; do
        found=("$PACKAGE_SOURCE/${package}"_*_amd64.deb)
        [[ -e ${found[0]} ]] ||
          fail "there is no ${package}_*_amd64.deb in $PACKAGE_SOURCE (PACKAGE_SOURCE in $env_file)"
        ((${#found[@]} == 1)) || fail "there are ${#found[@]} ${package}_*_amd64.deb in $PACKAGE_SOURCE: leave one"
      done
      ;;
  esac
  "$doctl" compute ssh-key get "$SSH_KEY_ID" --format ID --no-header >/dev/null ||
    fail "DigitalOcean does not know the key SSH_KEY_ID=$SSH_KEY_ID: see \"doctl compute ssh-key list\""
}

# --- The firewall. doctl takes all rules of a direction in ONE value, separated by spaces: of a flag that
# is given several times it takes the last.

everyone=address:0.0.0.0/0,address:::/0

inbound_rules() {
  local rules='' port
  # shellcheck disable=SC2153  # of the env file
  for port in "$INTERMEDIATE_PORT" "$P2P_PORT" "$STUN_ALT_PORT"; do
    rules+="protocol:udp,ports:$port,$everyone "
  done
  rules+="protocol:tcp,ports:22,address:${ADMIN_ADDRESSES//,/,address:}"
  if [[ $open_http == yes ]]; then rules+=" protocol:tcp,ports:$HTTP_PORT,$everyone"; fi
  if [[ $open_acme == yes ]]; then rules+=" protocol:tcp,ports:80,$everyone"; fi
  echo "$rules"
}

outbound_rules() { echo "protocol:tcp,ports:all,$everyone protocol:udp,ports:all,$everyone protocol:icmp,ports:0,$everyone"; }

# normal: rules in an order of their own, one a line, without what only differs in writing. The API says 0
# for all ports, and doctl shows no ports for icmp.
normal() {
  tr ' ' '\n' | sed -e '/^$/d' -e 's/ports:all/ports:0/' -e '/^protocol:icmp/s/ports:0,//' |
    while IFS= read -r rule; do
      tr ',' '\n' <<<"$rule" | LC_ALL=C sort | tr '\n' ','
      echo
    done | LC_ALL=C sort
}

firewall_is_right() {  # ID; its InboundRules are in $scratch
  look firewall get "$1" --format OutboundRules >"$scratch/OutboundRules"
  diff -q <(normal <"$scratch/InboundRules") <(inbound_rules | normal) >/dev/null &&
    diff -q <(normal <"$scratch/OutboundRules") <(outbound_rules | normal) >/dev/null
}

make_tag() {
  if tag_exists; then return; fi
  say "Making the tag $DROPLET_TAG"
  run "$doctl" compute tag create "$DROPLET_TAG" --format Name --no-header
}

# By the tag, before there is a droplet: so that none is ever without it.
make_firewall() {
  local id
  local -a command
  id=$(firewall_id)
  if [[ -n $id ]]; then
    look firewall get "$id" --format InboundRules >"$scratch/InboundRules"
    # This very rule: who has opened it to some address only did not mean everyone.
    if [[ $open_acme == as-it-is ]] &&
      grep -qxF "$(normal <<<"protocol:tcp,ports:80,$everyone")" <(normal <"$scratch/InboundRules"); then
      say "TCP 80 stays open, for Let's Encrypt; --close-acme closes it"
      open_acme=yes
    fi
  fi
  if [[ -z $id ]]; then
    say "Making the firewall $FIREWALL_NAME"
    command=(create)
  elif firewall_is_right "$id"; then
    say "The firewall $FIREWALL_NAME is as it should be"
    return
  else
    say "Changing the firewall $FIREWALL_NAME"
    command=(update "$id")
  fi
  run "$doctl" compute firewall "${command[@]}" --name "$FIREWALL_NAME" --tag-names "$DROPLET_TAG" \
    --inbound-rules "$(inbound_rules)" --outbound-rules "$(outbound_rules)" \
    --format ID,Name,Status --no-header
}

# --- The droplet. Its user data, which each of its processes can read, is nothing of ours: that comes by ssh.

make_droplet() {
  droplet=$(droplet_id)
  if [[ -n $droplet ]]; then
    say "The droplet $DROPLET_NAME is there ($droplet)"
    return
  fi
  say "Making the droplet $DROPLET_NAME: $DROPLET_IMAGE, $DROPLET_SIZE, $DROPLET_REGION"
  run "$doctl" compute droplet create "$DROPLET_NAME" --image "$DROPLET_IMAGE" --size "$DROPLET_SIZE" \
    --region "$DROPLET_REGION" --ssh-keys "$SSH_KEY_ID" --tag-names "$DROPLET_TAG" \
    --user-data-file "$here/cloud-init.yaml" --wait --format ID,Name,Status --no-header
  droplet=$(droplet_id)
}

# until_true SECONDS WHAT COMMAND…
until_true() {
  local seconds=$1 what=$2 started=$SECONDS
  shift 2
  until "$@"; do
    ((SECONDS - started < seconds)) || fail "$what: not within $seconds s. Run this again, it goes on from here"
    sleep 2
  done
}

has_address() {
  address=$(droplet_address "$droplet" | tr -d '[:space:]')
  [[ -n $address ]]
}

# What ssh says is shown, once.
ssh_said=''
lets_in() {
  local said
  if said=$(on_droplet "$address" true 2>&1 </dev/null); then return; fi
  if [[ $said != "$ssh_said" ]]; then printf '%s\n' "$said" >&2; fi
  ssh_said=$said
  return 1
}

reach_droplet() {
  until_true 120 "an address of droplet $droplet" has_address
  mkdir -p "$(dirname "$known_hosts")"
  say "Waiting for ssh at $address"
  until_true 300 "ssh to root@$address, which the firewall allows from $ADMIN_ADDRESSES" lets_in
  # apt is busy until then.
  say "Waiting for its first boot to end"
  on_droplet "$address" cloud-init status --wait >/dev/null </dev/null ||
    say "cloud-init reports an error (/var/log/cloud-init-output.log on the droplet); going on"
}

# --- What is done over ssh.

place() { on_droplet "$address" sh -c "cat >$1.new && chmod $2 $1.new && mv $1.new $1"; }  # PATH MODE

# The script each time: the droplet may be of an earlier up.sh.
place_files() {
  place /usr/local/sbin/ztna-droplet 0755 <"$here/droplet/ztna-droplet"
  on_droplet "$address" mkdir -p /etc/ztna </dev/null
  place /etc/ztna/echo.nginx 0644 <"$here/droplet/echo.nginx"
  policy >"$scratch/policy.toml"
  on_droplet "$address" ztna-droplet policy "$(wc -c <"$scratch/policy.toml" | tr -d ' ')" <"$scratch/policy.toml"
}

policy() {
  cat <<TEXT
# Who may offer and reach what; what is not here is denied. Yours from now on: up.sh leaves it alone.
# After a change: systemctl reload ztna-intermediate ztna-connector
[[serve]]
connectors = ["$CONNECTOR_NAME"]
services   = ["$SERVICE_ID"]
[[allow]]
agents   = ["$AGENT_NAME"]
services = ["$SERVICE_ID"]
# For ztna prove and ztna validate: who may suspend a path of a session of his own, for seconds.
[[prove]]
agents   = ["$AGENT_NAME"]
services = ["$SERVICE_ID"]
TEXT
}

# sums FILE…: in the form of sha256sum, which macOS does not have.
sums() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

install_packages() {
  local names
  say "Packages"
  case $PACKAGE_SOURCE in
    https://*) on_droplet "$address" ztna-droplet install "$PACKAGE_SOURCE" </dev/null ;;
    *)
      names=$(cd "$PACKAGE_SOURCE" && sums ztna*_amd64.deb | on_droplet "$address" ztna-droplet wants)
      if [[ -n $names ]]; then
        # shellcheck disable=SC2086  # one word each
        (cd "$PACKAGE_SOURCE" && COPYFILE_DISABLE=1 tar -c -f - -- $names) |
          on_droplet "$address" tar -x -f - -C /var/cache/ztna-packages --no-same-owner
      fi
      on_droplet "$address" ztna-droplet install </dev/null
      ;;
  esac
}

# certify ROLE NAME SAN OPTION…: when the droplet asks for a certificate, issue it here.
certify() {
  local role=$1 name=$2 san=$3 csr=$scratch/$1.csr
  shift 3
  on_droplet "$address" ztna-droplet request "$role" "$TRUST_DOMAIN" "$name" "$san" >"$csr" <"$CA_DIR/ca-cert.pem"
  if [[ ! -s $csr ]]; then
    say "The certificate of $role $name is good"
    return
  fi
  say "Issuing a certificate to $role $name"
  ztna ca issue --ca-dir "$CA_DIR" --role "$role" --name "$name" "$@" --csr "$csr" --out "$scratch/$role" >/dev/null
  COPYFILE_DISABLE=1 tar -c -f - -C "$scratch/$role" cert.pem ca-cert.pem | on_droplet "$address" ztna-droplet accept "$role"
}

configure() {
  local -a intermediate=("DNS:$host" --dns "$host")
  if [[ $host == "$address" ]]; then intermediate=("IP Address:$host" --ip "$host"); fi
  on_droplet "$address" ztna-droplet set echo.env "LISTEN=$LOCAL_ADDR" "HTTP_PORT=$HTTP_PORT" </dev/null
  on_droplet "$address" ztna-droplet set intermediate.env "CERT_DIR=$CERT_DIR/intermediate" \
    "ZTNA_HEALTH=$INTERMEDIATE_HEALTH" "ZTNA_LISTEN=$address:$INTERMEDIATE_PORT" \
    "ZTNA_ALT_LISTEN=$address:$STUN_ALT_PORT" </dev/null
  on_droplet "$address" ztna-droplet set connector.env "CERT_DIR=$CERT_DIR/connector" \
    "ZTNA_HEALTH=$CONNECTOR_HEALTH" "SERVICE_ID=$SERVICE_ID" "ZTNA_LOCAL_ADDR=$LOCAL_ADDR" \
    "ZTNA_P2P_LISTEN_PORT=$P2P_PORT" "INTERMEDIATE_HOST=$host" "INTERMEDIATE_PORT=$INTERMEDIATE_PORT" </dev/null
  certify intermediate "$INTERMEDIATE_NAME" "${intermediate[@]}"
  certify connector "$CONNECTOR_NAME" "DNS:$SERVICE_ID.svc.$TRUST_DOMAIN" --serve "$SERVICE_ID"
  say "Starting, until both are ready"
  if [[ $open_http == yes ]]; then
    on_droplet "$address" ztna-droplet start open </dev/null
  else
    on_droplet "$address" ztna-droplet start </dev/null
  fi
}

need_doctl
check_inputs
make_tag
make_firewall
make_droplet
if [[ $dry_run == yes ]]; then
  say "Then, over ssh: nginx, the packages of $PACKAGE_SOURCE, certificates from $CA_DIR, and the start"
  exit 0
fi
reach_droplet
host=${INTERMEDIATE_HOST:-$address}
if [[ $host == *:* ]] || env_is_v4 "$host"; then
  [[ $host == "$address" ]] ||
    fail "INTERMEDIATE_HOST in $env_file is $host, and the droplet has $address: put that there, or a name that leads to it"
fi
place_files
install_packages
configure

cat <<TEXT

Up, at $address. For an Agent, here:
    ztna ca issue --ca-dir $CA_DIR --role agent --name $AGENT_NAME --out $AGENT_NAME
    ztna-agent --intermediate $host:$INTERMEDIATE_PORT --cert-dir $AGENT_NAME --auto-forward
TEXT
if [[ -z ${INTERMEDIATE_HOST:-} ]]; then
  echo "And put INTERMEDIATE_HOST=$address into $env_file and into deploy/env/home.env."
fi
