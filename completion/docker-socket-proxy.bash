# bash completion for docker-socket-proxy
_docker_socket_proxy() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words
	case $previous in
	-c | --config | --client-keys | --body | --key-file | --ca)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--listen)
		words='tcp:// tls:// unix:// fd://'
		;;
	--upstream)
		words='unix:// tcp:// tls://'
		;;
	--policy)
		words='open deny act-runner agent ai-agent arcane autoheal autokuma beszel
			caddy-docker-proxy caddy-docker-proxy-swarm cadvisor ci-runner compose
			compose-project coolify crowdsec ctop ctop-actions datadog devcontainer diun
			docker-gen docker-gen-notify docker-volume-backup dockge dockhand dozzle
			dozzle-actions dozzle-shell drydock drydock-update forgejo-runner
			gitlab-runner glances homarr homepage homepage-swarm komodo lazydocker
			lazydocker-actions netdata nextcloud-aio nextcloud-appapi ofelia ofelia-run
			portainer portainer-read-only portainer-swarm prometheus prometheus-swarm
			promtail read-only ryuk swarm-cronjob telegraf testcontainers traefik
			traefik-swarm trivy tugtainer uptime-kuma watchtower whats-up-docker
			whats-up-docker-update yacht'
		;;
	--from)
		words='tecnativa linuxserver wollomatic cetusguard'
		;;
	--log-level)
		words='debug info notice warning err crit alert emerg'
		;;
	--log-format)
		words='text json'
		;;
	--host-root)
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
		;;
	--allow | --workspace | --client | --server-name | --port | --workers | --max-connections | --max-head | --head-timeout | --shutdown-grace | --drain-timeout | --takeover)
		words=
		;;
	*)
		words='--config --policy --allow --workspace --host-root --client-keys --listen --port --upstream --workers --max-connections
			--max-head --head-timeout --shutdown-grace --drain-timeout --takeover --log-level --log-format --help --version'
		if [[ ${COMP_WORDS[1]} == convert && $COMP_CWORD -gt 1 ]]; then
			mapfile -t COMPREPLY < <(compgen -W '--from --service' -- "$current"; compgen -f -- "$current")
			return
		fi
		if [[ ${COMP_WORDS[1]} == certs && $COMP_CWORD -gt 1 ]]; then
			mapfile -t COMPREPLY < <(compgen -W '--host --client --days' -- "$current"; compgen -d -- "$current")
			return
		fi
		if [[ ${COMP_WORDS[1]} == reload && $COMP_CWORD -gt 1 ]]; then
			words='tcp:// tls:// unix:// --config --key-file --ca'
		elif [[ ${COMP_WORDS[1]} == status && $COMP_CWORD -gt 1 ]]; then
			words='streams close tcp:// tls:// unix:// --json --watch --config --key-file --ca'
		elif [[ ${COMP_WORDS[1]} == hash-key && $COMP_CWORD -gt 1 ]]; then
			words=--salt
		elif [[ ${COMP_WORDS[1]} == explain ]]; then
			words="--client --server-name --body $words"
		fi
		if [[ $COMP_CWORD -eq 1 ]]; then
			words="run check explain learn healthcheck convert certs hash-key schema status reload verify-audit $words"
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	# An address goes on after its scheme.
	if [[ ${COMPREPLY[0]:-} == *:// ]]; then
		compopt -o nospace
	fi
}
complete -F _docker_socket_proxy docker-socket-proxy
