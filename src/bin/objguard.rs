//! The user's command.

fn main() {
    objguard::cli::main()
}
