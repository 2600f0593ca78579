# Caddy as a user without rights. Its file capability for ports below 1024 must go: a container that has
# dropped all capabilities can't start a program that carries one.
FROM caddy:2.10.2-alpine
RUN setcap -r /usr/bin/caddy && chown -R 10001:10001 /data /config
USER 10001:10001
