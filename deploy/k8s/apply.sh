#!/usr/bin/env bash
# Puts a Connector (or an Intermediate) into a Kubernetes cluster, or brings what is there up to date.
# Looks first at all it needs, and changes nothing while anything is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
  cat <<'TEXT'
usage: deploy/k8s/apply.sh --context NAME --env FILE --certs DIR --policy FILE [OPTION...]
  --context NAME    the cluster, by its name in your kubeconfig
  --env FILE        addresses, ports and service names, as in deploy/env/home.env
  --certs DIR       what `ztna ca issue` made for the Connector (or the Intermediate)
  --policy FILE     the policy file, the same as at the other end
  --overlay NAME    pi-home (default), cloud, intermediate, intermediate-host-network
  --registry NAME   take the images from there instead of ghcr.io/hfyeomans/ztna-agent
  --tag TAG         and of this version
  --dry-run         check, and print what would be applied, without keys; change nothing
Exit status: 0 done; 1 the cluster, a certificate or a policy is not as needed; 2 wrong usage.
TEXT
}

fail() {  # MESSAGE...
  echo "apply.sh: $*" >&2
  exit 1
}

usage_error() {  # MESSAGE...
  usage >&2
  echo "apply.sh: $*" >&2
  exit 2
}

say() { echo "==> $*" >&2; }

# --- What was asked for.

context='' env_file='' certs='' policy='' overlay=pi-home registry='' tag='' dry_run=no
# What the Connector's certificate says it is, and what it is to serve.
node='' services=()

parse_arguments() {
  while (($# > 0)); do
    case $1 in
      --dry-run) dry_run=yes ;;
      --help | -h) usage && exit 0 ;;
      --context | --env | --certs | --policy | --overlay | --registry | --tag)
        (($# > 1)) || usage_error "$1 needs a value"
        case $1 in
          --context) context=$2 ;;
          --env) env_file=$2 ;;
          --certs) certs=$2 ;;
          --policy) policy=$2 ;;
          --overlay) overlay=$2 ;;
          --registry) registry=$2 ;;
          --tag) tag=$2 ;;
        esac
        shift
        ;;
      *) usage_error "unknown argument \"$1\"" ;;
    esac
    shift
  done
  [[ -n $env_file ]] || usage_error "--env is missing"
  [[ -n $certs ]] || usage_error "--certs is missing"
  [[ -n $policy ]] || usage_error "--policy is missing"
}

# What differs between the overlays.
choose_overlay() {
  case $overlay in
    pi-home | cloud)
      overlay_path=overlays/$overlay namespace=ztna workload=app-connector
      role=connector secret=connector-tls images='app-connector http-app game-server'
      needed='INTERMEDIATE_HOST INTERMEDIATE_PORT SERVICE_ID LOCAL_ADDR GAME_SERVICE_ID GAME_ADDR NODE_PORT'
      ;;
    intermediate | intermediate-host-network)
      overlay_path=overlays/$overlay namespace=ztna-intermediate workload=intermediate
      role=intermediate secret=intermediate-tls images=intermediate
      needed='INTERMEDIATE_PORT STUN_ALT_PORT' bound=$needed
      if [[ $overlay == intermediate ]]; then
        # The Service has the first port for the pod. Answers name the second, so it is the pod's own.
        overlay_path=intermediate bound=STUN_ALT_PORT
      fi
      ;;
    *) usage_error "no overlay \"$overlay\": pi-home, cloud, intermediate, intermediate-host-network" ;;
  esac
}

# --- What it needs.

read_environment() {
  # shellcheck source=/dev/null
  source "$here/../env/load.sh"
  env_forget
  # shellcheck disable=SC2086  # one word a variable
  load_env "$env_file" $needed || exit $?
  local name address
  if [[ $role == intermediate ]]; then
    for name in $bound; do
      if ((${!name} < 1024)); then
        fail "$env_file: $name is ${!name}, and a pod that is not root has none below 1024"
      fi
    done
    return
  fi
  GAME_PAGE_SERVICE_ID=${GAME_PAGE_SERVICE_ID:-} GAME_PAGE_ADDR=${GAME_PAGE_ADDR:-}
  if [[ -n $GAME_PAGE_SERVICE_ID && -z $GAME_PAGE_ADDR || -z $GAME_PAGE_SERVICE_ID && -n $GAME_PAGE_ADDR ]]; then
    fail "$env_file: GAME_PAGE_SERVICE_ID and GAME_PAGE_ADDR belong together, and one is missing"
  fi
  for name in LOCAL_ADDR GAME_ADDR GAME_PAGE_ADDR; do
    address=${!name}
    case $address in
      127.* | localhost:* | "[::1]:"*)
        fail "$env_file: $name is \"$address\", which is the Connector's own pod; name a service of the" \
          "cluster, like those in deploy/env/home.env"
        ;;
    esac
  done
  if ((NODE_PORT < 30000 || NODE_PORT > 32767)); then
    fail "$env_file: NODE_PORT is $NODE_PORT, Kubernetes takes 30000 to 32767"
  fi
}

check_files() {
  local file
  for file in "$certs/cert.pem" "$certs/key.pem" "$certs/ca-cert.pem"; do
    [[ -f $file && -r $file ]] || fail "cannot read $file; \`ztna ca issue\` makes the folder of --certs"
  done
  [[ -f $policy && -r $policy ]] || fail "cannot read $policy, which --policy names"
}

# The certificate is of the right role, has not ended, belongs to the key and to the CA, and names the services.
check_certificate() {
  local names service
  command -v openssl >/dev/null || fail "needs openssl, to look at the certificate"
  names=$(openssl x509 -in "$certs/cert.pem" -noout -ext subjectAltName 2>/dev/null) ||
    fail "$certs/cert.pem is no certificate"
  [[ $names == *"URI:spiffe://"*"/$role/"* ]] ||
    fail "$certs/cert.pem is not a certificate of a $role; make one with \`ztna ca issue --role $role\`"
  openssl x509 -in "$certs/cert.pem" -noout -checkend 0 >/dev/null ||
    fail "$certs/cert.pem has ended; \`ztna ca renew\` makes a new one"
  openssl x509 -in "$certs/cert.pem" -noout -checkend 1209600 >/dev/null ||
    say "$certs/cert.pem ends within 14 days: \`ztna ca renew\`, and run this again"
  openssl verify -CAfile "$certs/ca-cert.pem" "$certs/cert.pem" >/dev/null 2>&1 ||
    fail "$certs/cert.pem is not signed by $certs/ca-cert.pem"
  [[ $(openssl x509 -in "$certs/cert.pem" -noout -pubkey) == \
    "$(openssl pkey -in "$certs/key.pem" -pubout 2>/dev/null)" ]] ||
    fail "$certs/key.pem is not the key of $certs/cert.pem"
  if [[ $role == intermediate ]]; then return; fi
  node=$(sed -n "s|.*URI:spiffe://[^/]*/$role/\([^, ]*\).*|\1|p" <<<"$names")
  services=("$SERVICE_ID" "$GAME_SERVICE_ID")
  if [[ -n $GAME_PAGE_SERVICE_ID ]]; then services+=("$GAME_PAGE_SERVICE_ID"); fi
  for service in "${services[@]}"; do
    [[ $names == *"DNS:$service.svc."* || $names == *"DNS:*.svc."* ]] ||
      fail "$certs/cert.pem may not serve $service; issue it with --serve ${services[*]}"
  done
}

check_policy() {
  local service
  if ! command -v ztna >/dev/null; then
    say "ztna is not in PATH: $policy goes as it is"
    return
  fi
  ztna policy check --policy "$policy" >/dev/null || fail "$policy is not valid; see the message above"
  # Written so for bash 3.2, which macOS has.
  for service in ${services[@]+"${services[@]}"}; do
    ztna policy check --policy "$policy" --connector "$node" --service "$service" >/dev/null ||
      fail "$policy does not let connector $node serve $service; it needs a [[serve]] block with both"
  done
}

kube() { kubectl --context "$context" "$@"; }

check_context() {
  local known contexts
  command -v kubectl >/dev/null || fail "needs kubectl, 1.27 or newer"
  known=$(kubectl config get-contexts --output name) || fail "kubectl has no kubeconfig"
  contexts="there are: ${known//$'\n'/, }"
  [[ -n $known ]] || contexts='kubectl knows none (is KUBECONFIG set?)'
  [[ -n $context ]] || usage_error "--context is missing; $contexts"
  grep -qxF -- "$context" <<<"$known" || fail "no context \"$context\"; $contexts"
  kube get --raw /readyz >/dev/null || fail "the cluster of context \"$context\" does not answer"
}

check_permissions() {
  local verb what
  for verb in create patch; do
    check_permission "$verb" namespaces
    for what in secrets configmaps services deployments.apps networkpolicies.networking.k8s.io; do
      check_permission "$verb" "$what" --namespace "$namespace"
    done
  done
}

check_permission() {  # VERB PLURAL [OPTION...]
  kube auth can-i "$@" >/dev/null || fail "context \"$context\" may not $*"
}

check_nodes() {
  local nodes ready
  nodes=$(kube get nodes --output \
    'jsonpath={range .items[*]}{.metadata.name} {.status.nodeInfo.architecture} {.status.conditions[?(@.type=="Ready")].status} {.metadata.labels.ztna/intermediate}{"\n"}{end}') ||
    fail "cannot list the nodes of context \"$context\""
  case $overlay in
    pi-home) ready=$(awk '$2 == "arm64" && $3 == "True"' <<<"$nodes") ;;
    intermediate-host-network) ready=$(awk '$3 == "True" && $4 == "true"' <<<"$nodes") ;;
    *) ready=$(awk '$3 == "True"' <<<"$nodes") ;;
  esac
  if [[ -z $ready ]]; then
    echo "$nodes" >&2
    case $overlay in
      pi-home) fail "no node is ready and arm64; for others there is --overlay cloud" ;;
      intermediate-host-network) fail "no ready node is chosen: kubectl label node NODE ztna/intermediate=true" ;;
      *) fail "no node is ready" ;;
    esac
  fi
  say "Nodes that can take it: $(awk '{ print $1 }' <<<"$ready" | paste -s -d ' ' -)"
}

# Another service with our node port would make the API server refuse ours, after half is applied.
check_node_port() {
  local owner
  if [[ $role == intermediate ]]; then return; fi
  owner=$(kube get services --all-namespaces --output \
    'jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.spec.ports[*].nodePort}{"\n"}{end}' |
    awk -v port="$NODE_PORT" -v ours="$namespace/$workload" \
      '$1 != ours { for (i = 2; i <= NF; i++) if ($i == port) print $1 }')
  [[ -z $owner ]] || fail "node port $NODE_PORT is taken by $owner; choose another NODE_PORT in $env_file"
}

# --- What is applied: the overlay, and around it what only this place knows.

checksum() { cat "$@" | openssl dgst -sha256 -r | cut -c 1-16; }

container=/spec/template/spec/containers/0

# Lines of a kustomization that change the workload's object of that kind.
patch() {  # KIND OPERATION...
  printf '  - target: {kind: %s, name: %s}\n    patch: |-\n' "$1" "$workload"
  printf '      - %s\n' "${@:2}"
}

add_arguments() {  # WORD...
  local word
  for word; do patch Deployment "{op: add, path: $container/args/-, value: \"$word\"}"; done
}

write_site() {  # FOLDER
  local folder=$1 name image hash
  install -m 0600 "$certs/cert.pem" "$certs/key.pem" "$certs/ca-cert.pem" "$folder"
  install -m 0600 "$policy" "$folder/policy.toml"
  : >"$folder/site.env"
  for name in $needed; do echo "$name=${!name}" >>"$folder/site.env"; done
  hash=$(cd "$folder" && checksum cert.pem key.pem ca-cert.pem policy.toml site.env)
  if [[ $dry_run == yes ]]; then
    echo "(the key of $certs, not shown)" >"$folder/key.pem"
  fi
  # Paths in a kustomization are relative.
  cp -R "$here/base" "$here/overlays" "$here/intermediate" "$folder/"
  {
    cat <<TEXT
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [$overlay_path]
generatorOptions: {disableNameSuffixHash: true}
secretGenerator:
  - name: $secret
    namespace: $namespace
    files: [$role-cert.pem=cert.pem, $role-key.pem=key.pem, ca-cert.pem]
configMapGenerator:
  - name: ztna-policy
    namespace: $namespace
    files: [policy.toml]
TEXT
    if [[ $role == connector ]]; then
      printf '  - name: ztna-site\n    namespace: %s\n    envs: [site.env]\n' "$namespace"
    fi
    if [[ -n $registry$tag ]]; then
      echo "images:"
      for image in $images; do
        echo "  - name: ghcr.io/hfyeomans/ztna-agent/$image"
        if [[ -n $registry ]]; then echo "    newName: $registry/$image"; fi
        if [[ -n $tag ]]; then echo "    newTag: \"$tag\""; fi
      done
    fi
    echo "patches:"
    # A new certificate, policy or address makes a new pod.
    patch Deployment "{op: add, path: /spec/template/metadata/annotations, value: {ztna/configuration: \"$hash\"}}"
    if [[ $role == connector ]]; then
      patch Service "{op: replace, path: /spec/ports/0/nodePort, value: $NODE_PORT}"
      if [[ -n ${P2P_ADVERTISE:-} ]]; then add_arguments --p2p-advertise "$P2P_ADVERTISE"; fi
      if [[ -n $GAME_PAGE_SERVICE_ID ]]; then
        add_arguments --service "$GAME_PAGE_SERVICE_ID=tcp://$GAME_PAGE_ADDR"
      fi
      return
    fi
    patch Deployment "{op: replace, path: $container/args/3, value: \"0.0.0.0:$STUN_ALT_PORT\"}" \
      "{op: replace, path: $container/ports/1/containerPort, value: $STUN_ALT_PORT}"
    if [[ $overlay == intermediate ]]; then
      patch Service "{op: replace, path: /spec/ports/0/port, value: $INTERMEDIATE_PORT}" \
        "{op: replace, path: /spec/ports/1/port, value: $STUN_ALT_PORT}"
    else
      patch Deployment "{op: replace, path: $container/args/1, value: \"0.0.0.0:$INTERMEDIATE_PORT\"}" \
        "{op: replace, path: $container/ports/0/containerPort, value: $INTERMEDIATE_PORT}"
    fi
  } >"$folder/kustomization.yaml"
}

main() {
  parse_arguments "$@"
  choose_overlay
  read_environment
  check_files
  check_certificate
  check_policy
  check_context
  check_nodes
  check_permissions
  check_node_port

  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  write_site "$site"
  kubectl kustomize "$site" >"$site/rendered.yaml" ||
    fail "the manifests cannot be made; see the message above"

  if [[ $dry_run == yes ]]; then
    say "Would be applied to context \"$context\":"
    cat "$site/rendered.yaml"
    return
  fi
  say "Applying $overlay to context \"$context\""
  # By the server: kubectl would write a copy of the key into an annotation.
  kube apply --server-side --filename "$site/rendered.yaml"
  say "Waiting until $workload is connected"
  kube --namespace "$namespace" rollout status "deployment/$workload" --timeout 180s ||
    fail "$workload is not ready; kubectl --context $context -n $namespace logs deployment/$workload says why"
}

main "$@"
