complete -c mpforkd -s c -l config -d 'The configuration file (TOML)' -r -F
complete -c mpforkd -l socket -d 'The socket to serve on [default: $XDG_RUNTIME_DIR/mpforkd/mpforkd.sock, as root /run/mpforkd/mpforkd.sock, else a folder of the user\'s own under the temporary folder]' -r -F
complete -c mpforkd -l log -d 'What to log: a level, or directives such as mpforkd=debug' -r
complete -c mpforkd -l log-format -d 'How to log' -r -f -a "text\t'A line for people'
json\t'A JSON object a line'
journal\t'Entries of systemd\'s journal, each field by name'"
complete -c mpforkd -l completions -d 'Print a script that makes a shell complete this command line, and exit' -r -f -a "bash\t''
elvish\t''
fish\t''
powershell\t''
zsh\t''"
complete -c mpforkd -l without-feature -d 'Do without a kernel feature that was found, as on a kernel without it. May be repeated' -r -f -a "fork\t'A process can be forked'
exit-info\t'`PIDFD_GET_INFO` tells a reaped process\'s status (Linux 6.15)'
group-signal\t'A process group can be signalled through its leader\'s pidfd (Linux 6.9)'
peer-pidfd\t'A socket tells its peer\'s pidfd (Linux 6.5)'
collapse\t'`MADV_COLLAPSE` moves memory into huge pages (Linux 6.1)'"
complete -c mpforkd -l check-config -d 'Check the configuration, print what is wrong, and exit'
complete -c mpforkd -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mpforkd -s V -l version -d 'Print version'
