//! System calls as an intruder makes them: by number, past every library that would be careful.
//!
//! Only in builds with the feature `raw`, which the attack test alone asks for; it lies here since
//! `unsafe` lies nowhere else. Why there is any: what is tried has no safe form, since its purpose is to
//! get hold of what belongs to somebody else.
#![allow(clippy::unwrap_used, reason = "for a test: a failure is a panic")]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// An argument of a system call.
pub trait Argument {
    fn word(&self) -> libc::c_long;
}

macro_rules! numbers {
    ($($number:ty),+) => { $(impl Argument for $number {
        fn word(&self) -> libc::c_long { *self as libc::c_long }
    })+ };
}
numbers!(i32, u32, i64, u64, usize);

/// Reads or writes behind it; it lives as long as the call.
impl<T> Argument for &mut T {
    fn word(&self) -> libc::c_long {
        std::ptr::from_ref::<T>(*self).expose_provenance() as libc::c_long
    }
}

impl<T> Argument for &mut [T] {
    fn word(&self) -> libc::c_long {
        self.as_ptr().expose_provenance() as libc::c_long
    }
}

impl Argument for &[u8] {
    fn word(&self) -> libc::c_long {
        self.as_ptr().expose_provenance() as libc::c_long
    }
}

impl Argument for &CString {
    fn word(&self) -> libc::c_long {
        self.as_ptr().expose_provenance() as libc::c_long
    }
}

/// What the kernel says to a call.
pub fn call(number: libc::c_long, arguments: &[&dyn Argument]) -> io::Result<i64> {
    let mut words = [0; 6];
    for (word, argument) in words.iter_mut().zip(arguments) {
        *word = argument.word();
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: pointers among the arguments come from references that the caller holds for the
    // length of this call, and no call here keeps one for later. What the kernel writes has the
    // size of what is referred to, which each attack sees to.
    #[allow(unsafe_code, reason = "see the head of this file")]
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub fn path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}
