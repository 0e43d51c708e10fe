//! Priority of training threads.

/// The lowest ordinary priority: everything else on the machine goes first.
const LOWEST: i32 = 19;

/// Gives the calling thread the lowest priority. Threads that it starts inherit it.
pub(crate) fn yield_to_others() {
    // On Linux the "process" of this call is the calling thread. A refusal costs only politeness.
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::warn!(%error, "training threads keep normal priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_and_its_children_become_nice() {
        let nice = || rustix::process::getpriority_process(None).expect("asks");
        let before = nice();
        let (itself, child) = std::thread::spawn(move || {
            yield_to_others();
            let child = std::thread::spawn(nice).join().expect("joins");
            (nice(), child)
        })
        .join()
        .expect("joins");
        assert_eq!((itself, child), (LOWEST, LOWEST));
        assert_eq!(nice(), before);
    }
}
