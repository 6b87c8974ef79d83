# What follows is the same for every fleet. It keeps to bash 3.2, which macOS has.

usage() {
  cat <<'END'
usage: gcloud.sh [--dry-run] [--prune]

Brings Google to what fleet.yaml describes: APIs, pools, providers, service accounts, grants.
Run it as often as you like; what is there already is left alone.

  --dry-run  ask Google, but print the commands that would change something
  --prune    take grants away that principals of these pools, and service accounts that this
             makes, have and fleet.yaml does not give
END
}

say() { printf '%s\n' "$*"; }

fail() { # WHAT FIX
  printf 'gcloud.sh: %s. Fix: %s\n' "$1" "$2" >&2
  exit 1
}

# How often a question or a change is repeated while Google says that what it needs is not there
# yet: an API or an account that was just made takes a while. gcloud takes about a second each time.
TRIES=60
DISABLED='SERVICE_DISABLED|has not been used in project'
NOT_YET="$DISABLED|NOT_FOUND|does not exist|may not exist"

# The answer to a question. With --or-nothing: nothing, where Google knows no such thing.
ask() { # [--or-nothing] GCLOUD-ARGUMENT…
  local try or_nothing=''
  if [ "$1" = --or-nothing ]; then
    or_nothing=yes
    shift
  fi
  for ((try = 1; try <= TRIES; try++)); do
    if gcloud "$@" 2>"$ERRORS"; then return 0; fi
    if [ -n "$or_nothing" ] && grep -q 'NOT_FOUND' "$ERRORS"; then return 0; fi
    grep -qE "$DISABLED" "$ERRORS" || break
  done
  cat "$ERRORS" >&2
  fail "gcloud $1 $2: Google did not answer (see above)" "mend what Google names, and run this again"
}

change() { # SENTENCE GCLOUD-ARGUMENT…
  say "$1"
  shift
  if [ -n "$DRY_RUN" ]; then
    printf '  gcloud'
    printf ' %q' "$@"
    printf '\n'
    return 0
  fi
  local try
  for ((try = 1; try <= TRIES; try++)); do
    if gcloud "$@" >/dev/null 2>"$ERRORS"; then return 0; fi
    grep -qE "$NOT_YET" "$ERRORS" || break
  done
  cat "$ERRORS" >&2
  fail "gcloud $1 $2: Google refused (see above)" "mend what Google names, and run this again; what was done is found again"
}

check_gcloud() {
  command -v gcloud >/dev/null ||
    fail "gcloud is not on PATH" "install the Google Cloud CLI, https://cloud.google.com/sdk/docs/install"
  gcloud auth print-access-token >/dev/null 2>"$ERRORS" || {
    cat "$ERRORS" >&2
    fail "gcloud has no working credentials" "gcloud auth login"
  }
}

check_project() {
  local number
  number=$(ask --or-nothing projects describe "$PROJECT" --format='value(projectNumber)')
  [ "$number" = "$NUMBER" ] ||
    fail "the project $PROJECT has the number ${number:-(no such project)}, and fleet.yaml says $NUMBER" \
      "correct google.projectId or google.projectNumber in fleet.yaml and render again; nothing was changed"
  say "project $PROJECT: its number is $NUMBER"
}

enable() { # SERVICE…
  local enabled service
  local missing=()
  enabled=$(ask services list --enabled --project="$PROJECT" --format='value(config.name)')
  for service in "$@"; do
    has_line "$enabled" "$service" || missing+=("$service")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "APIs: enabled"
  else
    change "APIs: enabling ${missing[*]}" services enable "${missing[@]}" --project="$PROJECT"
    if [ -n "$DRY_RUN" ]; then
      say "what else is to be done can be asked of Google when these are enabled"
      exit 0
    fi
  fi
}

# No pipe: grep ends at the first match, and a printf that has more to say would die of it, which
# pipefail makes a "no".
has_line() { grep -qxF -e "$2" <<<"$1"; } # LINES LINE

# Where Google keeps what was deleted, its id cannot be used again for 30 days.
undeleted() { # HAVE; prints it as it is after undeletion
  local deleted='"state": "DELETED"' active='"state": "ACTIVE"'
  printf '%s' "${1/$deleted/$active}"
}

differences() { # HAVE WANTED
  diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") | sed -n 's/^\([<>]\)/    \1/p' || true
}

pool() { # ID WANTED FLAG…
  local id=$1 wanted=$2 have restored
  shift 2
  local place=(--location=global --project="$PROJECT")
  have=$(ask --or-nothing iam workload-identity-pools describe "$id" "${place[@]}" \
    --format='json(state,displayName,disabled)')
  if [ -z "$have" ]; then
    change "pool $id: creating" iam workload-identity-pools create "$id" "${place[@]}" "$@"
    return
  fi
  restored=$(undeleted "$have")
  if [ "$restored" != "$have" ]; then
    change "pool $id: undeleting" iam workload-identity-pools undelete "$id" "${place[@]}"
  fi
  if [ "$restored" = "$wanted" ]; then
    say "pool $id: as described"
  else
    differences "$restored" "$wanted"
    change "pool $id: updating" \
      iam workload-identity-pools update "$id" "${place[@]}" --no-disabled "$@"
  fi
}

provider() { # POOL ID JWKS-FILE WANTED FLAG…; an empty file: Google fetches the keys
  local pool=$1 id=$2 keys=$3 wanted=$4 have restored uploaded
  shift 4
  [ -r "$keys" ] || fail "$keys cannot be read" "render again; the script reads the keys beside it"
  local place=(--workload-identity-pool="$pool" --location=global --project="$PROJECT")
  have=$(ask --or-nothing iam workload-identity-pools providers describe "$id" "${place[@]}" \
    --format='json(state,displayName,disabled,attributeMapping,attributeCondition,oidc.issuerUri,oidc.allowedAudiences)')
  if [ -z "$have" ]; then
    [ "$keys" = /dev/null ] || set -- "$@" --jwk-json-path="$keys"
    change "provider $id: creating" \
      iam workload-identity-pools providers create-oidc "$id" "${place[@]}" "$@"
    return
  fi
  restored=$(undeleted "$have")
  if [ "$restored" != "$have" ]; then
    change "provider $id: undeleting" \
      iam workload-identity-pools providers undelete "$id" "${place[@]}"
  fi
  uploaded=$(ask iam workload-identity-pools providers describe "$id" "${place[@]}" \
    --format='value(oidc.jwksJson)' | tr -d '[:space:]')
  if [ "$restored" = "$wanted" ] && [ "$uploaded" = "$(tr -d '[:space:]' <"$keys")" ]; then
    say "provider $id: as described"
  else
    differences "$restored" "$wanted"
    change "provider $id: updating" \
      iam workload-identity-pools providers update-oidc "$id" "${place[@]}" --no-disabled \
      --allowed-audiences= --jwk-json-path="$keys" "$@"
  fi
}

account() { # ID EMAIL DISPLAY-NAME
  local known
  known=$(ask iam service-accounts list --project="$PROJECT" --format='value(email)')
  if has_line "$known" "$2"; then
    say "service account $2: there"
  else
    NEW_ACCOUNTS="$NEW_ACCOUNTS $2 "
    change "service account $2: creating" \
      iam service-accounts create "$1" --project="$PROJECT" --display-name="$3"
  fi
}

grant() { # ROLE GROUP KIND RESOURCE [FLAG…] -- MEMBER…
  local role=$1 group=$2 kind=$3 resource=$4 have='' wanted member
  shift 4
  local place=()
  while [ "$1" != -- ]; do
    place+=("$1")
    shift
  done
  shift
  wanted=$(printf '%s\n' "$@")
  case $NEW_ACCOUNTS in
  *" $resource "*) ;;
  *)
    have=$(ask "$group" "$kind" get-iam-policy "$resource" "${place[@]}" \
      --flatten='bindings[].members' --format='value(bindings.members)' \
      --filter="bindings.role=$role AND NOT bindings.condition.expression:*")
    ;;
  esac
  for member in "$@"; do
    if has_line "$have" "$member"; then
      say "$resource: $member has $role"
    else
      change "$resource: granting $role to $member" "$group" "$kind" add-iam-policy-binding \
        "$resource" "${place[@]}" --role="$role" --member="$member" --condition=None
    fi
  done
  while IFS= read -r member; do
    if has_line "$wanted" "$member"; then
      continue
    elif is_other_account "$member"; then
      say "$resource: $member has $role, which fleet.yaml does not give;" \
        "--prune leaves accounts that this script does not make: take it away by hand, if nothing else needs it"
    elif ! is_ours "$member"; then
      continue
    elif [ -n "$PRUNE" ]; then
      change "$resource: taking $role from $member" "$group" "$kind" remove-iam-policy-binding \
        "$resource" "${place[@]}" --role="$role" --member="$member" --condition=None
    else
      say "$resource: $member has $role, which fleet.yaml does not give; --prune takes it away"
    fi
  done <<<"$have"
}

is_ours() { # MEMBER; whether it is a principal of this fleet's pools, or an account that is made
  local pool
  for pool in "${POOLS[@]}"; do
    case $1 in principal*://*/projects/"$NUMBER"/locations/global/workloadIdentityPools/"$pool"/*) return 0 ;; esac
  done
  # Before 4.4, bash takes an empty array for an unbound variable.
  is_account_of "$1" ${ACCOUNTS[@]+"${ACCOUNTS[@]}"}
}

is_other_account() { # MEMBER; whether it is a service account that pulls and that others made
  is_account_of "$1" ${OTHER_ACCOUNTS[@]+"${OTHER_ACCOUNTS[@]}"}
}

is_account_of() { # MEMBER EMAIL…
  local member=$1 email
  shift
  for email in "$@"; do
    if [ "$member" = "serviceAccount:$email" ]; then return 0; fi
  done
  return 1
}

main() {
  DRY_RUN='' PRUNE='' NEW_ACCOUNTS=''
  while [ $# -gt 0 ]; do
    case $1 in
    --dry-run) DRY_RUN=yes ;;
    --prune) PRUNE=yes ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "unknown argument $1" "gcloud.sh --help lists them" ;;
    esac
    shift
  done
  HERE=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
  ERRORS=$(mktemp)
  trap 'rm -f "$ERRORS"' EXIT
  export CLOUDSDK_CORE_DISABLE_PROMPTS=1
  check_gcloud
  check_project
  converge
  if [ -n "$DRY_RUN" ]; then
    say "nothing was changed (--dry-run)"
  else
    say "done; Google takes a minute or two until a new grant works"
  fi
}
