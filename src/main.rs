//! The `aqlens` program: everything is in the library.

fn main() -> aqlens::cli::Exit {
    aqlens::cli::main(std::env::args_os())
}
