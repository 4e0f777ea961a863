# Run by the sandbox's `/bin/sh`, which finds its own applets without a PATH.
set -e

mkdir -p "$out/bin"
cp /bin/sh "$out/bin/busybox"
chmod 755 "$out/bin/busybox"

# busybox as `busybox` knows which applets it was built with; as `sh` it would be a shell.
for applet in $("$out/bin/busybox" --list); do
  [ "$applet" = busybox ] || ln -s busybox "$out/bin/$applet"
done
