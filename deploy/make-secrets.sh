#!/bin/sh
# Make the secrets of compose.yaml, each in a file of its own; what exists is left as it is.
#
#   deploy/make-secrets.sh [FOLDER]     (deploy/secrets by default)
#
# The folder is open to its owner alone. The files in it are readable by all: compose mounts each one into
# the containers that need it, where users without rights of the host's owner read it.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"

# keep NAME VALUE
keep() {
  if [ -s "$folder/$1" ]; then
    echo "kept  $folder/$1"
  else
    printf '%s' "$2" >"$folder/$1"
    chmod 444 "$folder/$1"
    echo "made  $folder/$1"
  fi
}

# 32 bytes of randomness, of letters and digits that a URL takes as they are.
random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

for name in postgres_password api_password dagster_password pepper lease_key; do
  keep "$name" "$(random)"
done
url() { printf 'postgresql://%s:%s@postgres:5432/securetag' "$1" "$(cat "$folder/$2")"; }
keep migrations_database_url "$(url postgres postgres_password)"
keep api_database_url "$(url securetag_api api_password)"
keep dagster_database_url "$(url securetag_dagster dagster_password)"
