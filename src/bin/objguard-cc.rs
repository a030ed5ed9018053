//! The wrapper: `CC=objguard-cc`. What it is called as decides which compiler it stands for.

fn main() {
    objguard::wrapper::main()
}
