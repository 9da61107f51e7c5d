/** The shells that there is a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

/**
 * What a shell runs to ask `lurkbot complete` for what fits: a line each with the word, a tab and what it means; `:files` alone
 * for the files that the shell knows. The words of the commands are not in there, so that a saved script cannot be out of date.
 */
export const SCRIPTS: Readonly<Record<Shell, string>> = {
  bash: `# Completion of lurkbot for bash, 4.4 or later. In ~/.bashrc: source <(lurkbot completion bash)
_lurkbot() {
  local cur=\${COMP_WORDS[COMP_CWORD]} value
  COMPREPLY=()
  # To bash, the = of --option=value is a word of its own.
  local words=() word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    [[ $word == = ]] || words+=("$word")
  done
  [[ $cur == = ]] && cur='' && words+=('')
  while IFS=$'\\t' read -r value _; do
    if [[ $value == :files ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
    else
      COMPREPLY+=("$value")
    fi
  done < <(lurkbot complete -- "\${words[@]}" 2>/dev/null)
}
complete -F _lurkbot lurkbot
`,
  zsh: `#compdef lurkbot
# Completion of lurkbot for zsh. In ~/.zshrc, behind compinit: source <(lurkbot completion zsh)
_lurkbot() {
  local -a described
  local line value meaning
  for line in "\${(@f)$(lurkbot complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    value=\${line%%$'\\t'*} meaning=\${line#*$'\\t'}
    if [[ $value == :files ]]; then
      _files
    elif [[ -n $value ]]; then
      described+=("\${value//:/\\\\:}\${meaning:+:$meaning}")
    fi
  done
  (( $#described )) && _describe lurkbot described
}
# Loaded by compinit from a folder of fpath, this is the body of the function; sourced, it only makes it known.
if [[ $funcstack[1] == _lurkbot ]]; then
  _lurkbot "$@"
else
  compdef _lurkbot lurkbot
fi
`,
  fish: `# Completion of lurkbot for fish. In ~/.config/fish/config.fish: lurkbot completion fish | source
function __lurkbot_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    for line in (lurkbot complete -- $words[2..] "$typed" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$typed"
        else
            printf '%s\\n' $line
        end
    end
end
complete -c lurkbot -f -a '(__lurkbot_complete)'
`,
}
