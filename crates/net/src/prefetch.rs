//! Asking the processor to bring memory near before it is read.
#![expect(unsafe_code, reason = "the processor's own instruction, which std has no safe word for")]

/// Starts to fetch the line of memory at an address, and does not wait for it.
/// The address need not be valid: nothing is read, nothing can fail. Where the
/// processor has no such instruction, nothing happens.
#[inline]
pub fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 is a hint that never faults, whatever the address; every
    // x86-64 processor has SSE.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: PRFM is a hint that never faults, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_address_will_do() {
        super::prefetch(std::ptr::from_ref(&7_u8));
        super::prefetch(std::ptr::null());
        super::prefetch(std::ptr::without_provenance(usize::MAX));
    }
}
