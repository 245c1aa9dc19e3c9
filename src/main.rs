//! The binary `sutra`: an allocator and the command line.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sutra_cli::main(env!("SUTRA_VERSION"), option_env!("SUTRA_COMMIT"))
}
