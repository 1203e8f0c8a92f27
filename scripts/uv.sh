# Sourced: finds uv, or puts it into .tools (a --target install, since Debian guards its own Python).
UV=$(command -v uv || true)
if [ -z "$UV" ]; then
    UV="$PWD/.tools/bin/uv"
    [ -x "$UV" ] || "${1:-python3}" -m pip install --quiet --disable-pip-version-check \
        --root-user-action=ignore --target .tools uv
fi
# A machine behind an own certificate authority keeps it in the system's store: believe that one.
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=true
