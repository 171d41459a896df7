# shellcheck shell=bash
# Reads a file of deploy/env. Source it, then:
#
#     load_env FILE NAME…
#
# exports every variable of FILE, and fails unless each NAME is there with a value of its own. The file
# is read, never executed: `$(…)` in it is an error and no command. A value in <angle brackets> is a
# placeholder: an error for a NAME that is asked for, else as if it were not there.
#
# A file may set the variables that the .env files beside this one have, also as a comment, and options of our
# programs (ZTNA_…), and no others: PATH or OPENSSL_CONF would change how programs run. What a value may be
# follows from the end of its name, so that new ones need no entry here:
#   _PORT       1 to 65535                      _HOST       a host name or an address
#   _ADDR       HOST:PORT                       _HEALTH     HOST:PORT or off
#   _ADDRESSES  addresses or networks, by commas
#   _ID, _NAME, _TAG, _REGION, _SIZE, _IMAGE, _DOMAIN    letters, digits and . _ : -
#
# For bash 3.2, which macOS has, and later.

# env_problem PLACE TEXT…: says what is wrong and where.
env_problem() {
  echo "$1: ${*:2}" >&2
}

env_is_placeholder() { [[ $1 == *"<"*">"* ]]; }

# env_is_v4 TEXT: four numbers of at most 255.
env_is_v4() {
  local octet='(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])'
  [[ $1 =~ ^$octet\.$octet\.$octet\.$octet$ ]]
}

env_is_host() {
  local label='[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?'
  if [[ $1 =~ ^[0-9.]+$ ]]; then
    env_is_v4 "$1"
  else
    [[ $1 =~ ^$label(\.$label)*\.?$ || $1 =~ ^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*$ ]]
  fi
}

env_is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 <= 65535)); }

# env_is_host_port TEXT: HOST:PORT, an IPv6 address in square brackets.
env_is_host_port() {
  local host=${1%:*}
  if [[ $host == "["*"]" ]]; then host=${host#[} host=${host%]}; fi
  [[ $1 == *:* ]] && env_is_host "$host" && env_is_port "${1##*:}"
}

# env_is_network TEXT: an address, or one with /BITS.
env_is_network() {
  local address=${1%/*} bits=${1#*/}
  if [[ $1 != */* ]]; then bits=0; fi
  [[ $bits =~ ^[0-9]{1,3}$ ]] || return 1
  if [[ $address == *:* ]]; then
    env_is_host "$address" && ((10#$bits <= 128))
  else
    env_is_v4 "$address" && ((10#$bits <= 32))
  fi
}

env_are_networks() {
  local rest=$1, one
  while [[ -n $rest ]]; do
    one=${rest%%,*} rest=${rest#*,}
    env_is_network "$one" || return 1
  done
}

# env_check NAME VALUE: fails when the value is not what the name promises; env_expected is that. (No
# subshell: one a line is slow.)
env_check() {
  case $1 in
    *_PORT) env_expected="a port from 1 to 65535" && env_is_port "$2" ;;
    *_HOST) env_expected="a host name or an address" && env_is_host "$2" ;;
    *_ADDR) env_expected="HOST:PORT" && env_is_host_port "$2" ;;
    *_HEALTH) env_expected="HOST:PORT or off" && { [[ $2 == off ]] || env_is_host_port "$2"; } ;;
    *_ADDRESSES)
      env_expected="addresses or networks, separated by commas" && env_are_networks "$2"
      ;;
    *_ID | *_NAME | *_TAG | *_REGION | *_SIZE | *_IMAGE | *_DOMAIN)
      env_expected="letters, digits and . _ : -" && [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9._:-]*$ ]]
      ;;
    # Spaces, quotes and dollars mean different things to the shell, systemd and Docker.
    *)
      env_expected="no spaces, quotes or dollars" && [[ $2 =~ ^[]A-Za-z0-9._:/,@%+=~*[-]*$ ]]
      ;;
  esac
}

# env_known: the names that a file may set, a space around each.
env_known() {
  sed -n 's/^#\{0,1\}\([A-Z][A-Z0-9_]*\)=.*/ \1 /p' "$(dirname "${BASH_SOURCE[0]}")"/*.env
}

# env_forget: of the caller's own environment, what a file might set, so that the file alone counts.
env_forget() {
  local env_name
  for env_name in $(env_known); do unset "$env_name"; done
}

load_env() {
  local env_file=$1 env_line env_name env_value env_expected='' env_number=0 env_seen=' ' env_open=' ' env_names
  shift
  if [[ ! -f $env_file || ! -r $env_file ]]; then
    env_problem "$env_file" "cannot be read, expected a file like those of deploy/env"
    return 2
  fi
  env_names=$(env_known)
  while IFS= read -r env_line || [[ -n $env_line ]]; do
    env_number=$((env_number + 1))
    if [[ $env_line =~ ^[[:space:]]*(#|$) ]]; then continue; fi
    if [[ ! $env_line =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]]; then
      env_problem "$env_file:$env_number" "expected NAME=VALUE"
      return 2
    fi
    env_name=${BASH_REMATCH[1]} env_value=${BASH_REMATCH[2]}
    if [[ $env_names != *" $env_name "* && $env_name != ZTNA_* ]]; then
      env_problem "$env_file:$env_number" "$env_name may not be set here, only what a file of deploy/env has"
      return 2
    fi
    if [[ $env_seen == *" $env_name "* ]]; then
      env_problem "$env_file:$env_number" "$env_name is set twice"
      return 2
    fi
    env_seen+="$env_name "
    if env_is_placeholder "$env_value"; then
      env_open+="$env_name "
      unset "$env_name"
      continue
    fi
    if [[ -n $env_value ]] && ! env_check "$env_name" "$env_value"; then
      env_problem "$env_file:$env_number" "$env_name is \"$env_value\", expected $env_expected"
      return 2
    fi
    export "$env_name=$env_value"
  done <"$env_file"
  for env_name in "$@"; do
    if [[ $env_open == *" $env_name "* ]]; then
      env_problem "$env_file" "$env_name is still a placeholder, fill it in (the line above it says how)"
      return 2
    fi
    if [[ $env_seen != *" $env_name "* || -z ${!env_name} ]]; then
      env_problem "$env_file" "$env_name is missing"
      return 2
    fi
  done
}
