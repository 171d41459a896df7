# shellcheck shell=bash disable=SC2034  # what is set here is used in up.sh and parameters.sh
# What the settings say of a deployment that is to be made. Every mistake is found before the first call.
# shellcheck source=deploy/aws/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# shellcheck disable=SC2153  # capitals are settings
check_settings() {
  local file package number
  need INTERMEDIATE_PORT STUN_ALT_PORT P2P_PORT INTERMEDIATE_HEALTH CONNECTOR_HEALTH SERVICE_ID CERT_DIR \
    ZTNA_AWS_ZONE ZTNA_AWS_VPC_CIDR ZTNA_AWS_PUBLIC_CIDR ZTNA_AWS_PRIVATE_CIDR ZTNA_AWS_CLIENT_CIDR \
    ZTNA_AWS_INSTANCE_TYPE ZTNA_AWS_AMI_PARAMETER ZTNA_AWS_PACKAGES ZTNA_AWS_INTERMEDIATE_CERTS \
    ZTNA_AWS_CONNECTOR_CERTS ZTNA_AWS_POLICY ZTNA_AWS_IMAGE_VERSION ZTNA_AWS_CONNECTOR_SOURCE \
    ZTNA_AWS_HTTP_APP_SOURCE ZTNA_AWS_GAME_SERVER_SOURCE ZTNA_AWS_CONNECTOR_USER ZTNA_AWS_HTTP_APP_PORT \
    ZTNA_AWS_GAME_SERVER_PORT ZTNA_AWS_GAME_SERVICE_ID
  port=$INTERMEDIATE_PORT p2p_port=$P2P_PORT alt_port=$STUN_ALT_PORT
  http_port=$ZTNA_AWS_HTTP_APP_PORT game_port=$ZTNA_AWS_GAME_SERVER_PORT
  # There the daemons listen where the load balancer can ask them, not on loopback.
  intermediate_health=${INTERMEDIATE_HEALTH##*:} connector_health=${CONNECTOR_HEALTH##*:}
  for number in "$intermediate_health" "$connector_health"; do
    [[ $number =~ ^[0-9]+$ ]] || fail "INTERMEDIATE_HEALTH and CONNECTOR_HEALTH want a port: the load balancer asks there" 2
  done
  check_different INTERMEDIATE_PORT "$port" STUN_ALT_PORT "$alt_port" P2P_PORT "$p2p_port"
  public_cidr=$ZTNA_AWS_PUBLIC_CIDR client_cidr=$ZTNA_AWS_CLIENT_CIDR everywhere=0.0.0.0/0
  packages=${ZTNA_AWS_PACKAGES//,/ } package_sums=${ZTNA_AWS_PACKAGES_SHA256//,/ }
  for package in $packages; do
    [[ $package =~ ^(https://[^/]+/.+|s3://[^/]+/.+)$ ]] ||
      fail "ZTNA_AWS_PACKAGES: \"$package\" is neither https://HOST/FILE nor s3://BUCKET/KEY" 2
  done
  check_sums
  intermediate_certs=$ZTNA_AWS_INTERMEDIATE_CERTS connector_certs=$ZTNA_AWS_CONNECTOR_CERTS policy=$ZTNA_AWS_POLICY
  for file in "$intermediate_certs"/{ca-cert,cert,key}.pem "$connector_certs"/{ca-cert,cert,key}.pem "$policy"; do
    [[ -r $file ]] || fail "$file cannot be read; make it with \"ztna ca init\" and \"ztna ca issue\"" 2
    # The Parameter Store's limit for what costs nothing.
    (($(wc -c <"$file") <= 4096)) || fail "$file has more than 4096 octets, the Parameter Store's limit" 2
  done
  check_pair "$intermediate_certs"
  check_pair "$connector_certs"
  [[ $ZTNA_AWS_CONNECTOR_USER =~ ^[0-9]+:[0-9]+$ ]] || fail "ZTNA_AWS_CONNECTOR_USER is not UID:GID" 2
}

check_pair() {  # FOLDER
  local certified own
  command -v openssl >/dev/null || fail "openssl is missing, which tells whether key and certificate belong together; install it"
  certified=$(openssl x509 -in "$1/cert.pem" -noout -pubkey) || fail "$1/cert.pem is no certificate; \"ztna ca issue\" makes one" 2
  own=$(openssl pkey -in "$1/key.pem" -pubout) || fail "$1/key.pem is no key; \"ztna ca issue\" makes one" 2
  [[ $certified == "$own" ]] || fail "$1/key.pem is not the key of $1/cert.pem; \"ztna ca issue\" makes both" 2
}

check_sums() {
  local -a files sums
  local sum
  read -r -a files <<<"$packages"
  read -r -a sums <<<"$package_sums"
  ((${#sums[@]} == 0 || ${#sums[@]} == ${#files[@]})) ||
    fail "ZTNA_AWS_PACKAGES_SHA256 has ${#sums[@]} sums, and ZTNA_AWS_PACKAGES has ${#files[@]} packages: give one for each, or none" 2
  for sum in "${sums[@]}"; do
    [[ $sum =~ ^[0-9A-Fa-f]{64}$ ]] || fail "ZTNA_AWS_PACKAGES_SHA256: \"$sum\" is not what sha256sum prints" 2
  done
}

check_different() {  # NAME PORT...
  local -A of=()
  while (($# > 0)); do
    [[ -z ${of[$2]-} ]] || fail "$1 and ${of[$2]} are both $2; a port has one use" 2
    of[$2]=$1
    shift 2
  done
}

package_arns() {  # of those in S3
  local package
  for package in $packages; do
    if [[ $package == s3://* ]]; then echo "arn:aws:s3:::${package#s3://}"; fi
  done
}

# Another text, another task.
certificates_version() {
  cat "$connector_certs"/{ca-cert,cert}.pem "$policy" | sha256sum | cut -c 1-16
}

# shellcheck disable=SC2153  # CERT_DIR is a setting
write_user_data() {
  local variable
  local region=$region parameters=/$name/intermediate listen="[::]:$port" alt_listen="[::]:$alt_port"
  local health="0.0.0.0:$intermediate_health" cert_dir=$CERT_DIR layout=$layout
  {
    echo '#!/usr/bin/env bash'
    for variable in region parameters packages package_sums cert_dir listen alt_listen health layout; do
      printf '%s=%q\n' "$variable" "${!variable}"
    done
    cat "$here/intermediate-user-data.sh"
  } >"$work/user-data"
}
