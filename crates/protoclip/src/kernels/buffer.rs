//! Result buffers that are written once instead of cleared first: clearing costs as much as many of
//! the loops that fill them.

use std::mem::MaybeUninit;

/// A vector of `len` numbers that `fill` writes.
///
/// # Safety
/// `fill` must write every element.
#[allow(unsafe_code, reason = "the caller promises what the type cannot")]
pub(super) unsafe fn written(len: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    fill(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: `len` elements were allocated, and `fill` wrote them all.
    unsafe { values.set_len(len) };
    values
}

/// Numbers that are there already, as a place to write to.
#[allow(unsafe_code, reason = "f32 and MaybeUninit<f32> have the same layout")]
pub(super) fn overwrite(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: same layout, same lifetime, exclusive borrow; only kernels of this module write
    // through it, and they write numbers, so that `values` stays initialised.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) }
}

/// What was written, as numbers.
///
/// # Safety
/// Every element must have been written.
#[allow(unsafe_code, reason = "the caller promises what the type cannot")]
pub(super) unsafe fn initialised(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    // SAFETY: f32 and MaybeUninit<f32> have the same layout, and all elements hold numbers.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [f32]) }
}

/// Zeros in place of what was never written.
#[allow(unsafe_code, reason = "all elements are written here")]
pub(super) fn cleared(values: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    values.fill(MaybeUninit::new(0.0));
    // SAFETY: every element was just written.
    unsafe { initialised(values) }
}

/// Cuts `values` into consecutive pieces of these lengths, which must fit.
pub(super) fn pieces<T>(
    values: &mut [T],
    lengths: impl Iterator<Item = usize>,
) -> impl Iterator<Item = &mut [T]> {
    let mut rest = values;
    lengths.map(move |length| {
        let (piece, after) = std::mem::take(&mut rest).split_at_mut(length);
        rest = after;
        piece
    })
}
