#!/bin/sh
# What people write before they have a platform, and the baseline of deploys.py: a release folder for each deploy, a
# virtual environment kept by the hash of requirements.txt, a new port, a look whether it answers, a front door that is
# told, then the end of the old process. For files alone: a link that is exchanged.
#
#   bare_script.sh deploy KIND SITE SOURCE     KIND: flask, node, static
#   bare_script.sh rollback KIND SITE          to the release before
#
# SITE/port holds the last port used. FRONT tells the front door: its one argument is the port of the app.
set -eu
verb=$1 kind=$2 site=$3
cd "$site"

if [ "$verb" = deploy ]; then
    release=releases/$(date +%s%N)
    cp -r "$4" "$release"
else
    release=$(readlink previous)
fi

if [ "$kind" = static ]; then
    [ ! -L current ] || ln -sfn "$(readlink current)" previous
    ln -s "$release" current.new
    mv -T current.new current
    exit
fi

if [ "$kind" = flask ] && [ "$verb" = deploy ]; then
    venv=$site/venvs/$(sha256sum "$release/requirements.txt" | cut -c1-16)
    if [ ! -d "$venv" ]; then
        $UV venv -q --python "$PYTHON" "$venv"
        VIRTUAL_ENV=$venv $UV pip install -q -r "$release/requirements.txt"
    fi
    ln -s "$venv" "$release/.venv"
fi

old=$(cat pid 2>/dev/null || true)
port=$(($(cat port) + 1))
echo $port >port
cd "$release"
case $kind in
flask) set -- .venv/bin/gunicorn --bind "127.0.0.1:$port" app:app ;;
node) set -- "$NODE" server.js ;;
esac
PORT=$port setsid "$@" >log 2>&1 &
new=$!
until curl -sf -o /dev/null "http://127.0.0.1:$port/"; do
    kill -0 $new
    sleep 0.01
done
cd "$site"
echo $new >pid
[ ! -L current ] || ln -sfn "$(readlink current)" previous
ln -sfn "$release" current
$FRONT "$port"

# what the old one has begun may end
if [ -n "$old" ]; then
    sleep 1
    kill "$old"
fi
