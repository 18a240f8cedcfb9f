#!/bin/sh
# Runs a command with each file of /run/secrets whose name is in capitals as the environment variable of that name.
# So no secret stands in a compose file, in `docker inspect` or in an image. Commands that are started beside the
# container's own (`docker compose exec`) need it too: `docker compose exec code with-secrets mediatech doctor`.
set -eu
for file in "${SECRETS_FOLDER:-/run/secrets}"/*; do
    name=${file##*/}
    case "$name" in *[!A-Z0-9_]* | [0-9]*) continue ;; esac
    [ -f "$file" ] || continue
    if [ ! -r "$file" ]; then
        echo "with-secrets: $file cannot be read by user $(id -u): make it readable (chmod 0444, in a folder of 0700)" >&2
        exit 1
    fi
    value=$(cat "$file")
    export "$name=$value"
done
exec "$@"
