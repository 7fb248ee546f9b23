# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mpctl_global_optspecs
    string join \n socket= json h/help V/version
end

function __fish_mpctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mpctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mpctl_using_subcommand
    set -l cmd (__fish_mpctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mpctl -n "__fish_mpctl_needs_command" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_needs_command" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_needs_command" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_needs_command" -s V -l version -d 'Print version'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "status" -d 'Show the daemon, its templates and its totals on one page'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "top" -d 'Show the same over and over on a terminal, with what happens each second'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "ps" -d 'List workers'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "run" -d 'Run a worker and wait for it, as if it were started here'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "start" -d 'Start a worker that goes on by itself; print its id'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "wait" -d 'Wait for a worker\'s end, tell how it ended, and exit as it did (128+N for signal N)'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "attach" -d 'Take part in a worker\'s standard streams, where it was started with attached ones'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "logs" -d 'Show what a worker, a template\'s zygotes, or mpforkd itself have printed'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "signal" -d 'Send a signal to a worker'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "template" -d 'Look at and steer templates: the recipes of warm processes'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "events" -d 'Show what happens to templates and workers, as it happens'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "drain" -d 'Take no more starts, and wait until what runs has ended'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "log-filter" -d 'Show or change what the daemon logs'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "shutdown" -d 'End the daemon in order: its workers, its zygotes, itself'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "completions" -d 'Print a script that makes a shell complete this command line'
complete -c mpctl -n "__fish_mpctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mpctl -n "__fish_mpctl_using_subcommand status" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand status" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mpctl -n "__fish_mpctl_using_subcommand top" -s i -l interval -d 'How often to look' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand top" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand top" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand top" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -s t -l template -d 'Only this template\'s' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -s a -l all -d 'Also those that have ended and are still remembered'
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -s m -l memory -d 'Read each running worker\'s memory: RSS counts all that is resident, PSS divides what is shared among those that share it, PRIVATE is what ends with the worker. It takes some milliseconds for each gigabyte'
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand ps" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l program -d 'A program that links mpfork, instead of a template: it is registered, and kept warm from then on' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l function -d 'Call the function that the program registered under this name, instead of its main' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l arg -d 'The function\'s argument, in JSON' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l name -d 'What lists call the worker' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l time-limit -d 'End the worker after this long: TERM, and after the grace KILL' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l grace -d 'How long it may take to end after TERM [default: the daemon\'s]' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l env -d 'Set a variable in the worker. May be repeated' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l cwd -d 'The worker\'s working directory' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l nice -d 'The worker\'s nice value, -20 to 19' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l rlimit -d 'A resource limit such as nofile=1024 or core=0:unlimited; one number sets both. May be repeated' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l umask -d 'The mask of file permissions, in octal' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l keep -d 'Leave the worker running when mpctl is killed. Behind a relay its streams end at mpforkd: its input is over then, and when its output fills a pipe it waits for `mpctl attach`'
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand run" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l program -d 'A program that links mpfork, instead of a template: it is registered, and kept warm from then on' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l function -d 'Call the function that the program registered under this name, instead of its main' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l arg -d 'The function\'s argument, in JSON' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l name -d 'What lists call the worker' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l time-limit -d 'End the worker after this long: TERM, and after the grace KILL' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l grace -d 'How long it may take to end after TERM [default: the daemon\'s]' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l env -d 'Set a variable in the worker. May be repeated' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l cwd -d 'The worker\'s working directory' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l nice -d 'The worker\'s nice value, -20 to 19' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l rlimit -d 'A resource limit such as nofile=1024 or core=0:unlimited; one number sets both. May be repeated' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l umask -d 'The mask of file permissions, in octal' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l output -d 'Append the worker\'s standard output and error to this file' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand start" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand wait" -l timeout -d 'Give up after this long, with exit status 74. The worker goes on' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand wait" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand wait" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand wait" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand attach" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand attach" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand attach" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand logs" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand logs" -s f -l follow -d 'Go on with what comes: to the worker\'s end, or mpforkd\'s'
complete -c mpctl -n "__fish_mpctl_using_subcommand logs" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand logs" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand signal" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand signal" -s g -l group -d 'To its whole process group'
complete -c mpctl -n "__fish_mpctl_using_subcommand signal" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand signal" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "list" -d 'List all templates, one a line'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "show" -d 'Show everything about one template'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "warm" -d 'Make one warm now, so that the next start need not wait'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "reload" -d 'Warm a new zygote, which takes over from the old one when it is ready'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "remove" -d 'Forget a registered template'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and not __fish_seen_subcommand_from list show warm reload remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from list" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from list" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from show" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from warm" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from warm" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from warm" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from reload" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from reload" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from remove" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "list" -d 'List all templates, one a line'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show everything about one template'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "warm" -d 'Make one warm now, so that the next start need not wait'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Warm a new zygote, which takes over from the old one when it is ready'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget a registered template'
complete -c mpctl -n "__fish_mpctl_using_subcommand template; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -l since -d 'Begin after this event: its number, or its id, which also tells the run of the daemon' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -l kind -d 'Only this kind, such as worker-exited, template-failed, or template for all of templates. May be repeated' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -s t -l template -d 'Only this template\'s' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -l no-follow -d 'End when everything that is remembered was shown'
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand events" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l deadline -d 'End workers that still run after this long: TERM, and after the grace KILL' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l grace -d 'How long they may take to end after TERM [default: the daemon\'s]' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l exit -d 'End the daemon when nothing runs any more'
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l no-wait -d 'Only begin; the daemon goes on by itself'
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l undo -d 'Take starts again instead'
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand drain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mpctl -n "__fish_mpctl_using_subcommand log-filter" -l for -d 'How long it holds; the one before does again afterwards' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand log-filter" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand log-filter" -l reset -d 'The filter that the daemon was started with'
complete -c mpctl -n "__fish_mpctl_using_subcommand log-filter" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand log-filter" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand shutdown" -l grace -d 'How long workers may take to end after TERM [default: the daemon\'s]' -r
complete -c mpctl -n "__fish_mpctl_using_subcommand shutdown" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand shutdown" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand shutdown" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand completions" -l socket -d 'The daemon\'s socket, instead of looking for it' -r -F
complete -c mpctl -n "__fish_mpctl_using_subcommand completions" -l json -d 'Print JSON: answers on standard output, errors as {"error": {...}} on standard error'
complete -c mpctl -n "__fish_mpctl_using_subcommand completions" -s h -l help -d 'Print help'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "status" -d 'Show the daemon, its templates and its totals on one page'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "top" -d 'Show the same over and over on a terminal, with what happens each second'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "ps" -d 'List workers'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "run" -d 'Run a worker and wait for it, as if it were started here'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "start" -d 'Start a worker that goes on by itself; print its id'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "wait" -d 'Wait for a worker\'s end, tell how it ended, and exit as it did (128+N for signal N)'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "attach" -d 'Take part in a worker\'s standard streams, where it was started with attached ones'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "logs" -d 'Show what a worker, a template\'s zygotes, or mpforkd itself have printed'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "signal" -d 'Send a signal to a worker'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "template" -d 'Look at and steer templates: the recipes of warm processes'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "events" -d 'Show what happens to templates and workers, as it happens'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "drain" -d 'Take no more starts, and wait until what runs has ended'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "log-filter" -d 'Show or change what the daemon logs'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "shutdown" -d 'End the daemon in order: its workers, its zygotes, itself'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "completions" -d 'Print a script that makes a shell complete this command line'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and not __fish_seen_subcommand_from status top ps run start wait attach logs signal template events drain log-filter shutdown completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and __fish_seen_subcommand_from template" -f -a "list" -d 'List all templates, one a line'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and __fish_seen_subcommand_from template" -f -a "show" -d 'Show everything about one template'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and __fish_seen_subcommand_from template" -f -a "warm" -d 'Make one warm now, so that the next start need not wait'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and __fish_seen_subcommand_from template" -f -a "reload" -d 'Warm a new zygote, which takes over from the old one when it is ready'
complete -c mpctl -n "__fish_mpctl_using_subcommand help; and __fish_seen_subcommand_from template" -f -a "remove" -d 'Forget a registered template'
