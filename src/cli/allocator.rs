//! Where a program that trains gets its memory from.

use std::alloc::{GlobalAlloc, Layout, System};

#[cfg(not(miri))]
use mimalloc::MiMalloc;
/// Miri runs no C; what is tested there is which block goes where.
#[cfg(miri)]
use std::alloc::System as MiMalloc;

/// Blocks from this many bytes on are the system's, which takes them back when they are freed:
/// weights of a layer, their gradients and moments. mimalloc keeps freed blocks for the next one
/// of their size, and where only few are so large it is in vain.
const LARGE: usize = if cfg!(miri) { 64 << 10 } else { 64 << 20 };

/// mimalloc, and the system for large blocks.
///
/// Maps of every layer come and go at each step of unfrozen layers. glibc gives such blocks back to
/// the kernel, which clears them page by page when they are asked for again; mimalloc does not.
#[derive(Debug)]
pub struct Allocator;

// SAFETY: every block comes from one of two allocators that keep the trait's promises, and goes back to
// that one: to whom it belongs its size decides, which `dealloc` and `realloc` are told again.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { if layout.size() < LARGE { MiMalloc.alloc(layout) } else { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe {
            if layout.size() < LARGE {
                MiMalloc.alloc_zeroed(layout)
            } else {
                System.alloc_zeroed(layout)
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller promises the layout that the block was asked for with, so it goes back to
        // where it came from.
        unsafe {
            if layout.size() < LARGE {
                MiMalloc.dealloc(block, layout);
            } else {
                System.dealloc(block, layout);
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; over the limit a new block is made, of the size that the caller
        // promises to be possible, and as much is copied as both hold. The old one stays if there is
        // no new one.
        unsafe {
            match (layout.size() < LARGE, size < LARGE) {
                (true, true) => MiMalloc.realloc(block, layout, size),
                (false, false) => System.realloc(block, layout, size),
                _ => {
                    let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !new.is_null() {
                        new.copy_from_nonoverlapping(block, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code)]

    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_when_it_grows_and_shrinks_over_the_limit() {
        let layout = |size| Layout::from_size_align(size, 64).unwrap();
        let sizes = [LARGE / 2, LARGE - 1, LARGE, 2 * LARGE, LARGE + 1, LARGE - 1, 100];
        // SAFETY: no size is 0, none is more than a block was asked for with.
        unsafe {
            let mut block = Allocator.alloc_zeroed(layout(sizes[0]));
            for at in 0..100 {
                assert_eq!(*block.add(at), 0);
                *block.add(at) = at as u8;
            }
            for pair in sizes.windows(2) {
                block = Allocator.realloc(block, layout(pair[0]), pair[1]);
                assert_eq!(block as usize % 64, 0);
                assert!((0..100).all(|at| *block.add(at) == at as u8), "{pair:?}");
                *block.add(pair[1] - 1) = 99;
            }
            Allocator.dealloc(block, layout(100));
        }
    }
}
