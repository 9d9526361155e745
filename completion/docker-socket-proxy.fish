# fish completion for docker-socket-proxy
set -l commands run healthcheck
complete -c docker-socket-proxy -f
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a run -d Serve
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a healthcheck \
    -d "Exit 0 when the proxy and its Engine answer"
complete -c docker-socket-proxy -l listen -x -a "tcp:// unix://" -d "Where clients connect"
complete -c docker-socket-proxy -l port -x -d "TCP port on all interfaces"
complete -c docker-socket-proxy -l upstream -x -a unix:// -d "The Engine's unix socket"
set -l policies open act-runner autoheal autokuma beszel caddy-docker-proxy caddy-docker-proxy-swarm \
    cadvisor compose crowdsec ctop ctop-actions datadog diun docker-gen \
    docker-gen-notify docker-volume-backup dockge dozzle dozzle-actions dozzle-shell \
    gitlab-runner glances homarr homepage homepage-swarm lazydocker lazydocker-actions \
    netdata ofelia ofelia-run portainer portainer-read-only portainer-swarm prometheus \
    prometheus-swarm promtail read-only ryuk swarm-cronjob telegraf testcontainers \
    traefik traefik-swarm trivy uptime-kuma watchtower whats-up-docker \
    whats-up-docker-update
complete -c docker-socket-proxy -l policy -x -a "$policies" -d "What clients may do"
complete -c docker-socket-proxy -l workers -x -d "Threads that serve"
complete -c docker-socket-proxy -l max-connections -x \
    -d "Client connections open at the same time"
complete -c docker-socket-proxy -l max-head -x -d "Size of a head"
complete -c docker-socket-proxy -l head-timeout -x \
    -d "Time in which a head has to be complete"
complete -c docker-socket-proxy -l shutdown-grace -x \
    -d "Time that open streams are left at the end"
complete -c docker-socket-proxy -l log-level -x \
    -a "debug info notice warning err crit alert emerg" -d "Least severe lines to log"
complete -c docker-socket-proxy -l log-format -x -a "text json" -d "Format of the log"
complete -c docker-socket-proxy -s h -l help -d "Print a summary"
complete -c docker-socket-proxy -s V -l version -d "Print the version"
