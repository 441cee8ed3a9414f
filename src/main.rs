//! The `aqlens` program: everything is in the library.

/// glibc's allocator holds more with every shard (a fifth more after 80 of them), and takes and gives
/// back each shard's memory page by page, a tenth of the processor's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> aqlens::cli::Exit {
    aqlens::cli::main(std::env::args_os())
}
