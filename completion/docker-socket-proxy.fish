# fish completion for docker-socket-proxy
set -l commands run check explain learn healthcheck convert certs hash-key schema status reload verify-audit
complete -c docker-socket-proxy -f
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a run -d Serve
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a healthcheck \
    -d "Ask a running proxy for its health"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a check \
    -d "Print listeners, policies and allowed operations"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a explain \
    -d "Print whether a request is allowed, and why"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a learn \
    -d "Allow requests and print the policy that allows them"
complete -c docker-socket-proxy -s c -l config -r -F -d "File with listeners and policies"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from explain" -l body -r -F \
    -d "Body of the request to explain"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from explain" -l client -x \
    -d "Client of the file that sends the request"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from explain" -l server-name -x \
    -d "Name that the request asks for in TLS"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a hash-key \
    -d "Print the hash of a client's key"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from hash-key" -l salt \
    -d "With a random salt"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a verify-audit \
    -d "Print whether audit records were changed"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from verify-audit" -F
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a schema \
    -d "Print the JSON Schema of the file"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a status \
    -d "Print what a running proxy does"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a reload \
    -d "Let a running proxy read its configuration again"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status" -a "streams close" \
    -d "What lasts, and the end of one"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status reload" -a "tcp:// tls:// unix://" \
    -d "Address of the admin listener"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status" -l json -d "As JSON"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status" -l watch -d "Again each second"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status reload" -l key-file -r -F \
    -d "File with the key of the admin listener"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from status reload" -l ca -r -F \
    -d "Certificate of the admin listener or its authority"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a convert \
    -d "Print another proxy's settings as YAML"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from convert" -F
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from convert" -l from -x \
    -a "tecnativa linuxserver wollomatic cetusguard" -d "Proxy whose settings are converted"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from convert" -l service -x \
    -d "Service of a compose file"
complete -c docker-socket-proxy -n "not __fish_seen_subcommand_from $commands" -a certs \
    -d "Make an authority, a server and clients for TLS"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from certs" -a "(__fish_complete_directories)"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from certs" -l host -x \
    -d "Name or address of the server"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from certs" -l client -x -d "Client to make"
complete -c docker-socket-proxy -n "__fish_seen_subcommand_from certs" -l days -x \
    -d "How long certificates are valid"
complete -c docker-socket-proxy -l listen -x -a "tcp:// tls:// unix:// fd://" -d "Address for clients"
complete -c docker-socket-proxy -l port -x -d "TCP port on all interfaces"
complete -c docker-socket-proxy -l upstream -x -a "unix:// tcp:// tls://" -d "The Engine's address"
set -l policies open deny act-runner agent ai-agent arcane autoheal autokuma beszel \
    caddy-docker-proxy caddy-docker-proxy-swarm cadvisor ci-runner compose \
    compose-project coolify crowdsec ctop ctop-actions datadog devcontainer diun \
    docker-gen docker-gen-notify docker-volume-backup dockge dockhand dozzle \
    dozzle-actions dozzle-shell drydock drydock-update forgejo-runner gitlab-runner \
    glances homarr homepage homepage-swarm komodo lazydocker lazydocker-actions \
    netdata nextcloud-aio nextcloud-appapi ofelia ofelia-run portainer \
    portainer-read-only portainer-swarm prometheus prometheus-swarm promtail \
    read-only ryuk swarm-cronjob telegraf testcontainers traefik traefik-swarm trivy \
    tugtainer uptime-kuma watchtower whats-up-docker whats-up-docker-update yacht
complete -c docker-socket-proxy -l policy -x -a "$policies" -d "Policy of the clients"
complete -c docker-socket-proxy -l allow -x -d "Operations to allow in addition"
complete -c docker-socket-proxy -l workspace -x -a "(__fish_complete_directories)" \
    -d "What containers may mount of the host"
complete -c docker-socket-proxy -l host-root -x -a "(__fish_complete_directories)" \
    -d "Folder in which the proxy sees the host's files"
complete -c docker-socket-proxy -l client-keys -r -F -d "File with the keys of clients"
complete -c docker-socket-proxy -l workers -x -d "Worker threads"
complete -c docker-socket-proxy -l max-connections -x \
    -d "Maximum number of open client connections"
complete -c docker-socket-proxy -l max-head -x -d "Maximum size of a head"
complete -c docker-socket-proxy -l head-timeout -x \
    -d "Time limit for a complete head"
complete -c docker-socket-proxy -l shutdown-grace -x \
    -d "Time between SIGTERM and the end of open streams"
complete -c docker-socket-proxy -l drain-timeout -x \
    -d "Time for streams after another process has taken over"
complete -c docker-socket-proxy -l takeover -x -a unix:// \
    -d "Admin socket of the process to take over from"
complete -c docker-socket-proxy -l log-level -x \
    -a "debug info notice warning err crit alert emerg" -d "Lowest severity to log"
complete -c docker-socket-proxy -l log-format -x -a "text json" -d "Format of the log"
complete -c docker-socket-proxy -s h -l help -d "Print a summary"
complete -c docker-socket-proxy -s V -l version -d "Print the version"
