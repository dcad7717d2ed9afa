//! libFuzzer's entry to the core: the variable `HARNESS` names the reader that gets the bytes.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::OnceLock;

use fedproof_core::fuzzing::{Harness, HARNESSES};
use libfuzzer_sys::fuzz_target;

/// Counts what is allocated: libFuzzer's own limit on one allocation needs a sanitizer, and says nothing of many.
struct Counted;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(HELD.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        System.dealloc(place, layout);
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

/// What any reader may hold beside its input: the tables and threads of a multi-exponentiation.
const AROUND: usize = 8 << 20;

/// What a byte may cost: a point at infinity takes a bit of a file and its full size in memory, for each list of a key.
const EACH_BYTE: usize = 256;

fn chosen() -> &'static Harness {
    static CHOSEN: OnceLock<&'static Harness> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("HARNESS").unwrap_or_default();
        HARNESSES
            .iter()
            .find(|harness| harness.name == name)
            .unwrap_or_else(|| panic!("HARNESS is none of {:?}", HARNESSES.map(|harness| harness.name)))
    })
}

fuzz_target!(|data: &[u8]| {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    (chosen().read)(data);
    let held = MOST.load(Relaxed).saturating_sub(before);
    let most = AROUND + EACH_BYTE * data.len();
    assert!(held <= most, "{held} bytes of memory for {} bytes of input", data.len());
});
