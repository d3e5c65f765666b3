# Completion of codecast for bash: commands, and the options that each says in its help.

_codecast()
{
    local program=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]\{2,\}\)  .*/\1/p') --help --version" -- "$cur"))
        return
    fi
    case $prev in
    --file | -f)
        if [ "$command" = subscribe ]; then
            COMPREPLY=($(compgen -W "text json raw" -- "$cur"))
        else
            compopt -o filenames 2>/dev/null
            COMPREPLY=($(compgen -f -- "$cur"))
        fi
        return
        ;;
    --ca)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
        return
        ;;
    --out | -o)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -d -- "$cur"))
        return
        ;;
    --format)
        COMPREPLY=($(compgen -W "text json raw" -- "$cur"))
        return
        ;;
    esac
    case $cur in
    -*) COMPREPLY=($(compgen -W "$("$program" "$command" --help 2>/dev/null | grep -o -- '^ *\(-., \)\?--[a-z-]*' | grep -o -- '--[a-z-]*')" -- "$cur")) ;;
    esac
}

complete -F _codecast codecast
