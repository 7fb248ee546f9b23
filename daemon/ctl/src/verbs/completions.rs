//! `mpctl completions`.

use crate::cli::CompletionsArgs;
use crate::ending::Ending;
use crate::failed::Failed;
use crate::output::Output;

pub(crate) fn call(output: Output, args: &CompletionsArgs) -> Result<Ending, Failed> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "mpctl", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}
