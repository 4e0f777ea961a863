complete -d lantern
