#!/usr/bin/env bash
# Shows where a server's time goes inside the kernel: how long its threads take from each tracepoint
# to the next, over half a second of load. The time after sched_switch is left out, as the thread
# does not run then.
# Needs root, perf(1), and the two programs built: cargo build --release -p sutra
# Tracing slows every event, so read the shares and not the times; `sutra bench --profile` has the
# times.
#
#   benches/tracepoints.sh [CONNECTIONS] [OPERATION]      16 and query by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
connections=${1:-16} operation=${2:-query}
sutra=${CARGO_TARGET_DIR:-target}/release/sutra
address=127.0.0.1:21952
scratch=$(mktemp -d)
finish() {
    kill ${load:-} ${server:-} 2>/dev/null || true
    wait
    rm -rf "$scratch"
}
trap finish EXIT

"$sutra" serve --data "$scratch/data" --listen "$address" --compat off --admin off \
    --cores 0, >"$scratch/server.log" 2>&1 &
server=$!
until "$sutra" health --server "$address" >/dev/null 2>&1; do
    kill -0 "$server" || { cat "$scratch/server.log"; exit 1; }
    sleep 0.1
done
taskset -c 1 "$sutra" bench "$operation" --server "$address" \
    --connections "$connections" --depth 1 --duration 4 >"$scratch/load.log" 2>&1 &
load=$!
sleep 2
perf record --quiet --output "$scratch/perf.data" --pid "$server" \
    --event raw_syscalls:sys_enter,raw_syscalls:sys_exit,sched:sched_switch \
    --event net:net_dev_queue,net:netif_rx,net:netif_receive_skb \
    --event io_uring:io_uring_submit_req,io_uring:io_uring_complete \
    --event io_uring:io_uring_cqring_wait,io_uring:io_uring_task_work_run \
    -- sleep 0.5
wait "$load" || { cat "$scratch/load.log"; exit 1; }
load=
# One line for each event: "command tid [cpu] seconds: group:name: arguments". The opcode tells
# sends from receives.
perf script --input "$scratch/perf.data" --fields tid,time,event,trace 2>/dev/null | awk '
    {
        tid = $1; time = $2 + 0; name = $3
        sub(/^[a-z_]+:/, "", name); sub(/:$/, "", name)
        if (name == "io_uring_submit_req" && match($0, /opcode [A-Z_]+/))
            name = "submit " substr($0, RSTART + 7, RLENGTH - 7)
        if (tid in last && last[tid] != "sched_switch") {
            pair = last[tid] " -> " name
            spent[pair] += time - at[tid]; count[pair]++; total += time - at[tid]
        }
        last[tid] = name; at[tid] = time
    }
    END {
        for (pair in spent) {
            share = 100 * spent[pair] / total; each = 1e6 * spent[pair] / count[pair]
            printf "%5.1f %%  %7.2f us each  %7d times  %s\n", share, each, count[pair], pair
        }
    }' | sort -rn | head -20
