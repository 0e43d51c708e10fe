//! How the process keeps the memory of one training step for the next.
//!
//! A step allocates and frees the same large buffers each time. By default glibc hands them back to
//! the kernel at once, and getting them again costs a page fault per 4 KiB: a third of the time of
//! a vit-nano-32 step.

/// Makes the C allocator keep freed memory. Call it first in `main`, before any thread starts: the
/// limit to one arena holds only for arenas that do not exist yet. Does nothing where the C library
/// is not glibc.
pub fn retain_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::retain_freed_memory();
}

/// Hands freed memory back to the system; call it when a training ends.
pub fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::release_freed_memory();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "allocator options are set through C functions")]
mod glibc {
    /// Room that the heap grows by at once.
    const GROWTH: i32 = 64 << 20;

    pub(super) fn retain_freed_memory() {
        let options = [
            // Large buffers come from the heap, too, not from maps that vanish when freed.
            (libc::M_MMAP_MAX, 0),
            (libc::M_TRIM_THRESHOLD, i32::MAX),
            (libc::M_TOP_PAD, GROWTH),
            // Other arenas are made of 64 MiB pieces that are unmapped when empty.
            (libc::M_ARENA_MAX, 1),
        ];
        for (option, value) in options {
            // SAFETY: `mallopt` takes two integers, may be called at any time from any thread, and
            // only changes how later requests are served.
            unsafe { libc::mallopt(option, value) };
        }
    }

    pub(super) fn release_freed_memory() {
        // SAFETY: `malloc_trim` may be called at any time from any thread and touches free memory
        // only.
        unsafe { libc::malloc_trim(0) };
    }
}
