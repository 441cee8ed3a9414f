//! The `aqlens` program: everything is in the library.

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// glibc's allocator holds more with every shard (a fifth more after 80 of them), and takes and gives
/// back each shard's memory page by page, a tenth of the processor's time.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> aqlens::cli::Exit {
    keep_to_this_machine();
    aqlens::cli::main(std::env::args_os())
}

/// Microsoft's builds of ONNX Runtime from 1.29 on note every process in a database in the home
/// folder and send that to Microsoft, before their API can switch it off: only this variable
/// prevents it (ONNX Runtime's Privacy.md). A value that the user has set stays.
fn keep_to_this_machine() {
    const TELEMETRY_OFF: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(TELEMETRY_OFF).is_none() {
        // SAFETY: first thing in `main`, no other thread is there that could read the environment.
        #[expect(unsafe_code, reason = "the library reads it from the environment alone")]
        unsafe {
            std::env::set_var(TELEMETRY_OFF, "1");
        }
    }
}

/// An allocator that says why the process ends when there is no memory.
struct Allocator;

// SAFETY: every call is mimalloc's, with the same arguments.
#[expect(unsafe_code, reason = "only an allocator hears that there is no memory")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given(unsafe { MiMalloc.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        given(unsafe { MiMalloc.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        given(unsafe { MiMalloc.realloc(pointer, layout, size) })
    }
}

/// The memory; none ends the process.
#[inline]
fn given(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        aqlens::cli::out_of_memory();
    }
    pointer
}
