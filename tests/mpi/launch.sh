# shellcheck shell=bash disable=SC2154
# Sourced by tests that start programs by mpirun, after `mpirun` and `folder` are set: nothing they start outlives them.

# Of Open MPI; other MPIs do not know them. See tests/mpi/CMakeLists.txt.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

# As docs/scale.md advises: mpirun has a limit of time, here of two minutes.
launch() { # launch <arguments of mpirun>
  timeout --kill-after=10 120 "$mpirun" "$@" </dev/null
}

launcher=
pids=$folder/pids
# Starts processes that may be killed. Whoever waits for the end of this script's output does not wait for them.
start() { # start <output> <processes> <program> <arguments>…
  : >"$pids"
  : >"$1" # before anybody looks into it
  # shellcheck disable=SC2016
  launch -n "$2" sh -c 'echo $$ >>"$0"; exec "$@"' "$pids" "${@:3}" >"$1" 2>&1 &
  launcher=$!
}
# Waits until a command succeeds, or the launcher has ended.
await() { # await <command>…
  until "$@" || ! kill -0 "$launcher" 2>/dev/null; do sleep 0.02; done
}
ended() { ! kill -0 "$launcher" 2>/dev/null; }
# A process that is killed ends all, in 30 seconds.
await_end() { # await_end <output>
  for _ in $(seq 1 300); do
    if ended; then return; fi
    sleep 0.1
  done
  fail "not ended in 30 seconds" "$1"
}

leave_nothing() {
  [ -n "$launcher" ] && ! ended || return 0
  pkill -TERM -P "$launcher" || true # timeout, which passes it on, and kills ten seconds later
  xargs -r kill -KILL <"$pids" 2>/dev/null || true
}
trap leave_nothing EXIT
