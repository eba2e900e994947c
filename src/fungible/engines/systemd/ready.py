"""The script that looks at a process' port: that it is free before a start, and answers after it."""

SCRIPT = r"""#!/bin/bash
# port free BASE NUMBER: fails where somebody listens at port BASE + NUMBER already, whose answers would be taken for
# those of the process that is about to start.
# port ready BASE NUMBER PATH: waits until the process there gives a complete answer: to GET PATH one of 2xx or 3xx;
# where PATH is - any, to GET /. Whoever runs it limits the time. It needs nothing but bash.
port=$(($2 + $3))
path=$4
[ "$path" = - ] && path=/
connected() {
    exec 3<>"/dev/tcp/127.0.0.1/$port"
}
asked() {
    connected || return 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: fungible\r\nConnection: close\r\n\r\n' "$path" >&3
    IFS=' ' read -r version status _ <&3 && cat <&3 >/dev/null
    exec 3<&- 3>&-
    [[ $version == HTTP/* ]] || return 1
    [ "$1" = - ] || [[ $status == [23]?? ]]
}
if [ "$1" = free ]; then
    if (connected) 2>/dev/null; then
        echo "port $port is taken already: end what listens there, or export with other ports" >&2
        exit 1
    fi
    exit 0
fi
until asked "$4" 2>/dev/null; do
    kill -0 "$MAINPID" 2>/dev/null || exit 1 # it has ended: nobody will answer
    sleep 0.1
done
# The router looks each second, on a busy machine later: only then may the next process be stopped.
sleep 2.5
"""
