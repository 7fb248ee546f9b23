//! The scenarios, by subject. One list, for the program that has them and the tests that run them.

/// Gives a macro all scenarios, after what else it is to be given and a semicolon: each subject's name
/// and, in braces, those of its scenarios.
macro_rules! scenarios {
    ($make:ident $($more:tt)*) => {
        $make! {
            $($more)*;
            arguments {
                of_many_kinds
                of_every_size
                of_256_mib
                of_every_form_of_function
                by_registered_name
                that_can_not_be_encoded
                that_can_not_be_decoded
            }
            async_code {
                on_one_thread
                on_many_threads
                with_blocking_calls
                abandoned_and_taken_up
                whose_runtime_is_dropped
                without_a_runtime
                on_a_runtime_that_can_not
            }
            children {
                are_listed
                are_not_a_forked_childs
                count_the_cpus
                dropped
                have_pids
                know_their_parent
                know_themselves
                of_a_daemonic_process
                of_children
                that_nobody_joins
                that_outlive_the_program
            }
            commands {
                ended_by_signals
                that_can_not_be_executed
                with_arguments
                with_streams
                with_their_state
            }
            daemon_flag {
                is_told
            }
            descriptors {
                take_the_numbers_they_are_given
                are_those_that_were_given
                in_arguments
                in_results
                of_sockets_and_pipes
                that_nobody_takes
                too_many_and_elsewhere
            }
            errors {
                with_their_chain
                with_their_own_type
                boxed
                printed
                of_starts
                of_unknown_names
                closing_while_running
            }
            executable {
                that_commands_do_without
            }
            exits {
                codes
                inside
                without_a_result
                once_the_sentinel_is_readable
                joined_within_a_time
                with_leftovers
            }
            joined_at_exit {
                when_it_exits
                when_main_returns
            }
            main_again {
                that_panics
                with_arguments
            }
            names {
                as_they_are_printed
                as_ps_shows_them
                given_and_made
                too_long
            }
            nested {
                starts
                two_deep
            }
            not_frozen {
                commands
                starts
            }
            owner_death {
                by_a_signal
            }
            panics {
                with_message_and_location
                printed
                with_a_payload_that_is_no_text
                caught
                in_a_thread
                with_a_backtrace
            }
            preloads {
                are_there
                hooks
                hooks_that_fail
                what_they_read
            }
            results {
                of_many_kinds
                of_every_size
                of_256_mib
                that_can_not_be_encoded
                that_can_not_be_decoded
                do_not_hold_up_the_worker
                that_nobody_waits_for
                waited_for_within_a_time
            }
            sentinels {
                polled_together
                of_the_killed
            }
            shared {
                beyond_limits
                in_arguments
                in_commands
                in_one_memory
                in_preloads
                in_results
                that_nobody_writes
                when_the_zygote_ends
            }
            signals {
                end_a_process
                sent_by_itself
                that_do_not_exist
                to_the_ended
                blocked
                ignored_by_the_caller
            }
            state {
                is_the_callers
                as_described
                of_memory
                of_arguments
                of_containers
                of_a_removed_directory
                with_a_large_environment
                that_could_not_be_applied
                time_limit
            }
            stdio {
                inherited
                in_order
                piped
                null
                to_a_file
                unread
                closed
            }
            threads {
                start_at_once
                pass_processes_on
                are_not_added
            }
        }
    };
}
pub(crate) use scenarios;
