# shellcheck shell=bash
# The `aws` of the scripts under test, as a function that they inherit: a program of its own would take
# longer to start than all that the server does. OFFLINE_AWS is the server's TCP port on loopback.
# A request is a folder and arguments, each ended by a NUL, and an empty folder's place ends it; an answer
# is "STATUS OUT-LENGTH ERR-LENGTH", a line's end, and the two.
aws() {
  local connection status out_length err_length out='' err='' LC_ALL=C
  exec {connection}<>"/dev/tcp/127.0.0.1/$OFFLINE_AWS" || return 98
  { printf '%s\0' "$#" "$PWD" "$@"; } >&"$connection"
  read -r status out_length err_length <&"$connection"
  if ((out_length > 0)); then IFS= read -r -d '' -N "$out_length" out <&"$connection"; fi
  if ((err_length > 0)); then IFS= read -r -d '' -N "$err_length" err <&"$connection"; fi
  exec {connection}>&-
  printf %s "$out"
  printf %s "$err" >&2
  return "$status"
}
