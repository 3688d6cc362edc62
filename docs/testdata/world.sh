# The machine on which the commands of one page run: namespaces of its own, a Redis at the
# usual port, and what is written anywhere gone afterwards.
# Arguments: BIN (directory of the tools) REPOSITORY PAST (apps that have run: yes or no)
# Standard input has the commands, each behind a letter and before a NUL: r runs it, f runs it
# on a terminal until s comes and then types Ctrl-C there. Each ends with NUL, its exit status and NUL on stdout.
set -eu
bin=$1 repository=$2 past=$3

ip link set lo up
ip addr add 10.0.0.2/32 dev lo
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/home
layer() { # FROM TO: what is written to TO, which shows FROM, stays here
	name=$(printf %s "$2" | tr / _)
	mkdir -p "/mnt/upper/$name" "/mnt/work/$name" "$2"
	mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper/$name,workdir=/mnt/work/$name" "$2"
}
layer "$repository" /mnt/repository
layer "$(go env GOCACHE)" "$(go env GOCACHE)"
# Directories below which something may be mounted cannot be layered by every user.
cp -a /etc /mnt/etc 2>/dev/null || true
mount --bind /mnt/etc /etc
mount -t tmpfs tmpfs /var/lib

mkdir /mnt/bin
export PATH="$bin:/mnt/bin:$PATH" HOME=/mnt/home
cd /mnt/home
mkfifo /mnt/keys
cp "$repository/docs/testdata/camera" .
cp camera /mnt/bin/camera
cp "$repository/docs/testdata/camera.toml" /etc/camera.toml
printf '{"stream":"logs:app:camera:info","message":"a line"}\n' >waiting.jsonl
mkdir -p /var/lib/wrapp/camera
cp waiting.jsonl /var/lib/wrapp/camera/dead-letters.jsonl

redis-server --port 6379 --save '' --dir /mnt --protected-mode no --bind '*' >/mnt/redis.log &
until [ "$(redis-cli ping 2>/dev/null)" = PONG ]; do sleep 0.02; done
if [ "$past" = yes ]; then
	wrapp --name lidar -- sh -c 'echo "no echo from the left" >&2; exit 3' </dev/null 2>/dev/null || true
	wrapp --name camera -- ./camera --broken </dev/null 2>/dev/null || true
	wrapp --name planner --restart=on-failure -- sh -c 'echo planning; exec sleep 100000' 2>/dev/null &
	wrapp /etc/camera.toml 2>/dev/null &
	until [ "$(redis-cli -n 2 keys 'wrapp-run:*' | wc -l)" -ge 2 ] && [ -n "$(redis-cli -n 2 get camera:__healthpool__frames_cap)" ]; do sleep 0.05; done
fi

set +e
last=0
printf '\0ready\0'
while IFS= read -r -d '' message; do
	text=${message#?}
	case $message in
	r*)
		(exit $last)
		eval "$text" </dev/null 2>&1
		last=$?
		;;
	f*)
		set -m # else what runs beside the shell ignores SIGINT
		script -qefc "$text" /dev/null <>/mnt/keys 2>&1 &
		set +m
		IFS= read -r -d '' _
		printf '\003' >/mnt/keys
		wait $!
		last=$?
		;;
	d*) # the directory
		cd "$text"
		;;
	esac
	printf '\0%d\0' $last
done
