#!/bin/sh
# Makes what deploy/secrets/ lacks: random keys, password files and a self-signed certificate. Never replaces a file, so it
# can be called again; to change a secret, remove its file first (RUNBOOK.md, "Secrets").
#
#   sh deploy/make-secrets.sh [FOLDER]
#
# The folder is readable by its owner alone. The files in it are readable by all: the containers' users differ, and Compose
# mounts a file as it is.
set -eu
folder=${1:-"$(dirname "$0")/secrets"}
mkdir -p "$folder"
chmod 0700 "$folder"
cd "$folder"

made() { # keeps standard input as the file $1
    cat > "$1.new"
    chmod 0444 "$1.new"
    mv "$1.new" "$1"
    echo "made $folder/$1"
}

for name in DAGSTER_PG_PASSWORD MEDIATECH_INDEX_KEY MEDIATECH_EMBEDDING_KEY; do
    [ -e "$name" ] || openssl rand -hex 32 | made "$name"
done
# Tokens of the sinks come from their sites, addresses of alerts from people; empty: the sink is off, nobody is told.
for name in MEDIATECH_HUB_TOKEN MEDIATECH_DATA_GOUV_KEY MEDIATECH_ALBERT_KEY MEDIATECH_ALERTS; do
    [ -e "$name" ] || printf '' | made "$name"
done
# Qdrant reads its key from a configuration file.
[ -e qdrant_configuration ] || printf 'service:\n  api_key: "%s"\n' "$(cat MEDIATECH_INDEX_KEY)" | made qdrant_configuration

# One operator to begin with. Others: printf 'name:%s\n' "$(openssl passwd -6)" >> operators
if [ ! -e operators ]; then
    password=$(openssl rand -base64 18)
    printf 'operator:%s\n' "$(printf '%s' "$password" | openssl passwd -6 -stdin)" | made operators
    echo "password of « operator », shown this once: $password"
fi
[ -e reviewers ] || made reviewers < operators # who may look, and operators may

# Until the real one: browsers warn. Put certificate (with its chain) and key in the place of these two files.
if [ ! -e tls_certificate ]; then
    host=${MEDIATECH_HOST:-localhost}
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj "/CN=$host" -addext "subjectAltName=DNS:$host" -keyout key.pem -out certificate.pem 2>/dev/null
    made tls_key < key.pem
    made tls_certificate < certificate.pem
    rm key.pem certificate.pem
fi
