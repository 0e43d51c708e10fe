//! One loop, compiled for several vector units and chosen at run time.
//!
//! A kernel is written once as plain Rust, generic over whether a fused multiply-add exists. The
//! macro compiles it for AVX-512 and AVX2 besides the portable build and picks at each call.

use std::sync::OnceLock;

/// Vector units that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorUnit {
    /// What the compiler assumes of every machine.
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl VectorUnit {
    /// The best of this machine, detected once.
    pub(super) fn detect() -> Self {
        static DETECTED: OnceLock<VectorUnit> = OnceLock::new();
        *DETECTED.get_or_init(Self::look)
    }

    #[cfg(target_arch = "x86_64")]
    fn look() -> Self {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        match (avx2, avx512) {
            (true, true) => Self::Avx512,
            (true, false) => Self::Avx2,
            (false, _) => Self::Portable,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn look() -> Self {
        Self::Portable
    }
}

/// What loops on integers are written for by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IntegerUnit {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl IntegerUnit {
    /// The best of this machine.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self::Avx2;
        }
        Self::Portable
    }
}

/// `multiversion! { fn name(x: T) = body; }` defines `name`, which calls `body::<FMA>` compiled for
/// the machine's [`VectorUnit`]. `body` must be `#[inline(always)]`.
macro_rules! multiversion {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) = $body:ident;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($argument: $kind),*) {
                $body::<true>($($argument),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $kind),*) {
                $body::<true>($($argument),*);
            }
            #[cfg_attr(
                target_arch = "x86_64",
                allow(unsafe_code, reason = "calls a function compiled for a detected vector unit")
            )]
            match $crate::kernels::multiversion::VectorUnit::detect() {
                $crate::kernels::multiversion::VectorUnit::Portable => {
                    $body::<false>($($argument),*);
                }
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::multiversion::VectorUnit::Avx2 => {
                    // SAFETY: `detect` found AVX2 and FMA on this machine.
                    unsafe { avx2($($argument),*) }
                }
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::multiversion::VectorUnit::Avx512 => {
                    // SAFETY: `detect` found the five features that the function is compiled for.
                    unsafe { avx512($($argument),*) }
                }
            }
        }
    )*};
}

pub(super) use multiversion;
