//! The processor time of this process: what a measurement compares, as it does not count the time
//! that other processes took.

/// Seconds of processor time that all threads of this process used so far, in nanosecond steps.
/// Nothing where the system has no such clock.
pub fn process_cpu_seconds() -> Option<f64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    return glibc::process_cpu_seconds();
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the clock is read through a C function")]
mod glibc {
    pub(super) fn process_cpu_seconds() -> Option<f64> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a valid place for the result, and the clock's name is a constant of
        // the C library.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        (failed == 0).then_some(time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::process_cpu_seconds;

    #[test]
    fn time_passes_while_the_process_works() {
        let Some(before) = process_cpu_seconds() else {
            return;
        };
        let mut sum = 0u64;
        while process_cpu_seconds() <= Some(before) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(process_cpu_seconds() > Some(before));
    }
}
