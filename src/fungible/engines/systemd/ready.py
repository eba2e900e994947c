"""The script that waits until a process is ready."""

SCRIPT = r"""#!/bin/bash
# ready BASE NUMBER PATH: waits until the process at port BASE + NUMBER gives a complete answer: to GET PATH one of
# 2xx or 3xx; where PATH is - any, to GET /. Whoever runs it limits the time. It needs nothing but bash.
port=$(($1 + $2))
path=$3
[ "$path" = - ] && path=/
asked() {
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: fungible\r\nConnection: close\r\n\r\n' "$path" >&3
    IFS=' ' read -r version status _ <&3 && cat <&3 >/dev/null
    exec 3<&- 3>&-
    [[ $version == HTTP/* ]] || return 1
    [ "$1" = - ] || [[ $status == [23]?? ]]
}
until asked "$3" 2>/dev/null; do
    sleep 0.1
done
# The router looks each second: only then may the next process be stopped.
sleep 1.5
"""
