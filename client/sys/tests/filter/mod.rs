//! A filter of system calls, as sandboxes have them.

/// From here on this process may not make this system call.
pub(crate) fn refuse(call: libc::c_long) {
    let number = u32::try_from(call).expect("a system call's number");
    let statement = |code: u32, jumps: (u8, u8), k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("a code of a filter"),
        jt: jumps.0,
        jf: jumps.1,
        k,
    };
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let mut program = [
        // The number is what the data begin with.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, (0, 0), 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, (0, 1), number),
        statement(libc::BPF_RET | libc::BPF_K, (0, 0), refused),
        statement(libc::BPF_RET | libc::BPF_K, (0, 0), libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a short one"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: it takes numbers.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(set, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the filter is one of so many statements, which are there until it has been copied.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter) };
    assert_eq!(set, 0);
}
