# fish completion for docker-socket-proxy
set -l commands run healthcheck
complete -c docker-socket-proxy -f
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a run -d Serve
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a healthcheck \
    -d "Exit 0 when the proxy and its Engine answer"
complete -c docker-socket-proxy -l listen -x -a "tcp:// unix://" -d "Where to accept connections"
complete -c docker-socket-proxy -l upstream -x -a unix:// -d "The Engine"
complete -c docker-socket-proxy -l workers -x -d "Number of threads that serve"
complete -c docker-socket-proxy -l log-level -x \
    -a "debug info notice warning err crit alert emerg" -d "Least severity that is logged"
complete -c docker-socket-proxy -l help -d "Print a summary"
complete -c docker-socket-proxy -l version -d "Print the version"
