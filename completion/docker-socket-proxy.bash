# bash completion for docker-socket-proxy
_docker_socket_proxy() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words
	case $previous in
	--listen)
		words='tcp:// unix://'
		;;
	--upstream)
		words='unix://'
		;;
	--log-level)
		words='debug info notice warning err crit alert emerg'
		;;
	--log-format)
		words='text json'
		;;
	--port | --workers | --max-connections | --max-head | --head-timeout | --shutdown-grace)
		words=
		;;
	*)
		words='--listen --port --upstream --workers --max-connections --max-head --head-timeout
			--shutdown-grace --log-level --log-format --help --version'
		if [[ $COMP_CWORD -eq 1 ]]; then
			words="run healthcheck $words"
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
