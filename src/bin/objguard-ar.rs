//! The archiver's wrapper: `AR=objguard-ar`.

fn main() {
    objguard::wrapper::main()
}
