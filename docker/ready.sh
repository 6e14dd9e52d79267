#!/bin/bash
# Whether autorma on this machine is ready, asked with bash alone: the image has no curl. It is asked where
# AUTORMA_HTTP_ADDRESS says; where that is off there is nobody to ask, and it counts as ready. A port may be named instead.
address=${1:+127.0.0.1:$1}
address=${address:-${AUTORMA_HTTP_ADDRESS-127.0.0.1:9464}}
case $address in '' | off) exit 0 ;; esac
host=${address%:*}
# Linux takes 0.0.0.0 and [::] for this machine.
exec 3<>"/dev/tcp/${host//[][]/}/${address##*:}" || exit 1
printf 'GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
read -r -t 4 _ status _ <&3 || exit 1
[ "$status" = 200 ]
