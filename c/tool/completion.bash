# Completion of the tool's commands, options and files, for bash.

_filz_files() {
    local file
    while read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -X "$1" -- "$2"; compgen -d -S / -- "$2")
    compopt -o nospace -o filenames 2>/dev/null
}

# After `run` and its options, another command starts.
_filz_program() {
    local at
    for ((at = 2; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        --capacity | --dir) ((at++)) ;;
        --) at=$((at + 1)) && break ;;
        -*) ;;
        *) break ;;
        esac
    done
    ((at <= COMP_CWORD)) || return 1
    [[ $1 != -* || ${COMP_WORDS[at - 1]} == -- ]] || return 1
    if declare -F _command_offset >/dev/null; then
        _command_offset "$at"
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$1")
    fi
}

_filz() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words="--help"
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "check inspect map run snapshot watch --help --version" -- "$word")
        return
    fi
    case ${COMP_WORDS[1]} in
    inspect) words+=" --json" ;;
    map) words+=" --svg" ;;
    run) words+=" --capacity --dir --keep" ;;
    check | snapshot | watch) ;;
    *) return ;;
    esac
    [[ ${COMP_WORDS[1]} != run ]] || ! _filz_program "$word" || return 0
    case $before in
    --svg)
        _filz_files '!*.svg' "$word"
        return
        ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        compopt -o filenames 2>/dev/null
        return
        ;;
    --capacity) return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    elif [[ ${COMP_WORDS[1]} != run ]]; then
        _filz_files '!*.filz' "$word"
    fi
}

complete -F _filz filz
