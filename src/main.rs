//! The `aqlens` program: everything is in the library.

/// glibc's allocator holds more with every shard (a fifth more after 80 of them), and takes and gives
/// back each shard's memory page by page, a tenth of the processor's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
