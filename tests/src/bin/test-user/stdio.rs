//! Standard streams of the program's own.

use super::context;
use std::io::Read as _;

/// With the fault "unfinished", preload and hooks leave something in the zygote's buffer.
pub(crate) fn buffered() {
    let ctx = context();
    for n in 0..3 {
        let print = |n: u32| print!("{n} ");
        let mut process = ctx.process(print, n).start().unwrap();
        process.join(None).unwrap();
    }
    let nothing = ctx.process(|| (), ()).stdout(mpfork::Stdio::piped());
    let mut nothing = nothing.start().unwrap();
    let mut printed = String::new();
    let mut stdout = nothing.take_stdout().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "");
    nothing.join(None).unwrap();
}
