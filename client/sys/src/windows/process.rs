//! Processes: executed with the handles that are named and no others, in a job of their own.

use std::ffi::{OsStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{
    AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle, RawHandle,
};
use std::path::Path;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    DUPLICATE_SAME_ACCESS, DuplicateHandle, WAIT_OBJECT_0, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
    DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, GetCurrentProcess,
    GetExitCodeProcess, INFINITE, InitializeProcThreadAttributeList, LPPROC_THREAD_ATTRIBUTE_LIST,
    OpenProcess, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROCESS_INFORMATION, PROCESS_SYNCHRONIZE,
    ResumeThread, STARTF_USESTDHANDLES, STARTUPINFOEXW, UpdateProcThreadAttribute,
    WaitForSingleObject,
};

/// What to execute.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program's path.
    pub program: &'a Path,
    /// The arguments, the program's name first.
    pub arguments: &'a [&'a OsStr],
    /// The whole environment.
    pub environment: &'a [(&'a OsStr, &'a OsStr)],
    /// The working directory; the caller's own when there is none.
    pub directory: Option<&'a Path>,
    /// Standard input, output and error; one that is absent is none.
    pub streams: [Option<BorrowedHandle<'a>>; 3],
    /// Whether it is ended when the process object is dropped, as it is when this process ends.
    pub end_with_owner: bool,
}

/// A handle that a process to be executed is going to have, under the same number.
#[derive(Debug)]
pub struct Given(OwnedHandle);

impl Given {
    /// A copy of a handle that can be inherited: by what this process executes with [`spawn`], which
    /// names it, and, until it is dropped, by whatever else this process executes that inherits all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn of(handle: BorrowedHandle<'_>) -> io::Result<Self> {
        let mut copy: RawHandle = std::ptr::null_mut();
        // SAFETY: the pseudo handle of this process needs no closing.
        let own = unsafe { GetCurrentProcess() };
        // SAFETY: both processes are this one, the handle is open, and the copy goes to a variable of ours.
        let done = unsafe {
            DuplicateHandle(
                own,
                handle.as_raw_handle(),
                own,
                &raw mut copy,
                0,
                1,
                DUPLICATE_SAME_ACCESS,
            )
        };
        check(done)?;
        // SAFETY: the system has just made this handle for us.
        Ok(Self(unsafe { OwnedHandle::from_raw_handle(copy) }))
    }

    /// Its number, here and there.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0.as_raw_handle().expose_provenance()
    }
}

/// A process that was executed.
#[derive(Debug)]
pub struct Child {
    process: OwnedHandle,
    job: OwnedHandle,
    pid: u32,
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Executes a program, in a process group and a job of its own; it gets its streams and these handles.
///
/// # Errors
/// As `CreateProcessW`; of kind [`io::ErrorKind::InvalidInput`] for a text with a NUL inside.
pub fn spawn(launch: &Launch<'_>, given: &[Given]) -> io::Result<Child> {
    let job = job(launch.end_with_owner)?;
    let mut streams = [None, None, None];
    for (place, stream) in streams.iter_mut().zip(launch.streams) {
        *place = stream.map(Given::of).transpose()?;
    }
    let handles: Vec<RawHandle> = streams
        .iter()
        .flatten()
        .chain(given)
        .map(|given| given.0.as_raw_handle())
        .collect();
    let attributes = Attributes::naming(&handles)?;
    let raw = |stream: &Option<Given>| {
        stream
            .as_ref()
            .map_or(std::ptr::null_mut(), |given| given.0.as_raw_handle())
    };
    let mut startup = STARTUPINFOEXW::default();
    startup.StartupInfo.cb =
        u32::try_from(size_of::<STARTUPINFOEXW>()).map_err(io::Error::other)?;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = raw(&streams[0]);
    startup.StartupInfo.hStdOutput = raw(&streams[1]);
    startup.StartupInfo.hStdError = raw(&streams[2]);
    startup.lpAttributeList = attributes.list();

    let program = wide(launch.program.as_os_str())?;
    let mut line = command_line(launch.arguments)?;
    let mut environment = environment(launch.environment)?;
    let directory = launch
        .directory
        .map(|directory| wide(directory.as_os_str()))
        .transpose()?;
    let mut made = MaybeUninit::<PROCESS_INFORMATION>::zeroed();
    // SAFETY: all texts end with a NUL and outlive the call, the line may be written to, the environment
    // ends with two; the startup information says its size, and its list, like the handles the list
    // names, outlives the call; what is made goes to a structure of ours.
    let done = unsafe {
        CreateProcessW(
            program.as_ptr(),
            line.as_mut_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            i32::from(!handles.is_empty()),
            EXTENDED_STARTUPINFO_PRESENT
                | CREATE_UNICODE_ENVIRONMENT
                | CREATE_NEW_PROCESS_GROUP
                | CREATE_SUSPENDED,
            environment.as_mut_ptr().cast(),
            directory
                .as_ref()
                .map_or(std::ptr::null(), |text| text.as_ptr()),
            (&raw mut startup).cast(),
            made.as_mut_ptr(),
        )
    };
    check(done)?;
    drop(attributes);
    // SAFETY: the call has filled it.
    let made = unsafe { made.assume_init() };
    // SAFETY: the system has just made this handle for us.
    let process = unsafe { OwnedHandle::from_raw_handle(made.hProcess) };
    // SAFETY: as above.
    let thread = unsafe { OwnedHandle::from_raw_handle(made.hThread) };
    let child = Child {
        process,
        job,
        pid: made.dwProcessId,
    };
    // Suspended so far, it can't have started anything that would not be in the job.
    // SAFETY: both handles are open.
    let assigned = check(unsafe {
        AssignProcessToJobObject(child.job.as_raw_handle(), child.process.as_raw_handle())
    });
    if let Err(error) = assigned {
        child.kill_alone();
        return Err(error);
    }
    // SAFETY: the handle is open.
    if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
        let error = io::Error::last_os_error();
        child.kill(1)?;
        return Err(error);
    }
    Ok(child)
}

/// A job, whose processes end with its last handle when they are to.
fn job(end_with_handle: bool) -> io::Result<OwnedHandle> {
    // SAFETY: neither attributes nor a name are given.
    let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if job.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made this handle for us.
    let job = unsafe { OwnedHandle::from_raw_handle(job) };
    if end_with_handle {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).map_err(io::Error::other)?;
        // SAFETY: the job is open; the structure is of the kind named and of the size given.
        let done = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size,
            )
        };
        check(done)?;
    }
    Ok(job)
}

impl Child {
    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its handle, which is signalled when it ends.
    #[must_use]
    pub fn handle(&self) -> BorrowedHandle<'_> {
        use std::os::windows::io::AsHandle as _;
        self.process.as_handle()
    }

    /// Its exit code; `None` while it runs.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn exit_code(&self) -> io::Result<Option<u32>> {
        if !wait(self.handle(), Some(Duration::ZERO))? {
            return Ok(None);
        }
        let mut code = 0;
        // SAFETY: the handle is open; the code goes to a variable of ours.
        check(unsafe { GetExitCodeProcess(self.process.as_raw_handle(), &raw mut code) })?;
        Ok(Some(code))
    }

    /// Ends it and all it has started, with this exit code.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&self, code: u32) -> io::Result<()> {
        // SAFETY: the job is open.
        check(unsafe { TerminateJobObject(self.job.as_raw_handle(), code) })
    }

    /// Ends a process that is in no job yet.
    fn kill_alone(&self) {
        use windows_sys::Win32::System::Threading::TerminateProcess;
        // SAFETY: the handle is open.
        unsafe { TerminateProcess(self.process.as_raw_handle(), 1) };
    }
}

/// Waits until a handle is signalled, as a process's is at its end, no longer than so long; whether it
/// is.
///
/// # Errors
/// For a handle that can't be waited for.
pub fn wait(handle: BorrowedHandle<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    // What is left of a millisecond counts as one: nobody asks again too early.
    let millis = timeout.map_or(INFINITE, |timeout| {
        let whole = timeout.as_nanos().div_ceil(1_000_000);
        u32::try_from(whole).unwrap_or(INFINITE).min(INFINITE - 1)
    });
    // SAFETY: the handle is open.
    match unsafe { WaitForSingleObject(handle.as_raw_handle(), millis) } {
        WAIT_OBJECT_0 => Ok(true),
        WAIT_TIMEOUT => Ok(false),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A process that can be waited for, by its number, which must be known not to be another's yet.
///
/// # Errors
/// When there is none, or it may not be waited for.
pub fn open(pid: u32) -> io::Result<OwnedHandle> {
    // SAFETY: a call that takes numbers.
    let handle = unsafe { OpenProcess(PROCESS_SYNCHRONIZE, 0, pid) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has just made this handle for us.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A list of attributes that names the handles that are inherited.
struct Attributes<'a> {
    /// As aligned as the system's own.
    memory: Vec<usize>,
    _named: std::marker::PhantomData<&'a [RawHandle]>,
}

impl<'a> Attributes<'a> {
    fn naming(handles: &'a [RawHandle]) -> io::Result<Self> {
        let mut bytes = 0;
        // SAFETY: without memory it only tells how much is needed, and fails.
        unsafe { InitializeProcThreadAttributeList(std::ptr::null_mut(), 1, 0, &raw mut bytes) };
        let mut memory = vec![0_usize; bytes.div_ceil(size_of::<usize>())];
        // SAFETY: the memory is ours and as long as the system has asked for.
        let done = unsafe {
            InitializeProcThreadAttributeList(memory.as_mut_ptr().cast(), 1, 0, &raw mut bytes)
        };
        check(done)?;
        let attributes = Self {
            memory,
            _named: std::marker::PhantomData,
        };
        if handles.is_empty() {
            return Ok(attributes);
        }
        // SAFETY: the list is initialised; the handles outlive it, as its lifetime says, and are so many.
        let done = unsafe {
            UpdateProcThreadAttribute(
                attributes.list(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                handles.as_ptr().cast::<c_void>(),
                size_of_val(handles),
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        };
        check(done)?;
        Ok(attributes)
    }

    fn list(&self) -> LPPROC_THREAD_ATTRIBUTE_LIST {
        self.memory.as_ptr().cast_mut().cast()
    }
}

impl Drop for Attributes<'_> {
    fn drop(&mut self) {
        // SAFETY: the list is initialised and not used afterwards.
        unsafe { DeleteProcThreadAttributeList(self.list()) };
    }
}

fn wide(text: &OsStr) -> io::Result<Vec<u16>> {
    let mut wide: Vec<u16> = text.encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    wide.push(0);
    Ok(wide)
}

/// `NAME=value`, each ended by a NUL, and one more at the end.
fn environment(variables: &[(&OsStr, &OsStr)]) -> io::Result<Vec<u16>> {
    let mut block = Vec::new();
    for (name, value) in variables {
        let mut entry = wide(name)?;
        entry.pop();
        entry.push(u16::from(b'='));
        block.extend(entry);
        block.extend(wide(value)?);
    }
    // None at all is two as well.
    if block.is_empty() {
        block.push(0);
    }
    block.push(0);
    Ok(block)
}

/// One line, from which the C library of the program makes these arguments again: an argument is quoted,
/// with a backslash before each quote in it and two for each backslash that stands before a quote.
fn command_line(arguments: &[&OsStr]) -> io::Result<Vec<u16>> {
    const QUOTE: u16 = b'"' as u16;
    const BACKSLASH: u16 = b'\\' as u16;
    let mut line = Vec::new();
    for argument in arguments {
        if !line.is_empty() {
            line.push(u16::from(b' '));
        }
        line.push(QUOTE);
        let mut backslashes = 0;
        let mut text = wide(argument)?;
        text.pop();
        for unit in text {
            if unit == BACKSLASH {
                backslashes += 1;
            } else {
                if unit == QUOTE {
                    line.extend(std::iter::repeat_n(BACKSLASH, backslashes + 1));
                }
                backslashes = 0;
            }
            line.push(unit);
        }
        line.extend(std::iter::repeat_n(BACKSLASH, backslashes));
        line.push(QUOTE);
    }
    line.push(0);
    Ok(line)
}
